import { Body, Controller, Get, HttpCode, Param, Post, Query, StreamableFile } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  createSubmission,
  idOf,
  objectId,
  pageOf,
  pageQuery,
  reviewSubmission,
  type ReviewView,
  reviewView,
  submissionState,
  type SubmissionView,
  submissionView,
} from '@muster/contracts';
import { z } from 'zod';
import type { Actor } from '#messages/auth';
import { FindSubmission, ReceiveSubmission, ReleaseSubmission } from '#messages/integration';
import type { Page } from '#kernel';
import { CurrentActor, Idempotent, Requires, visibleProjects } from '#platform/http';
import { NotAPerson, NotFound } from '../integration.errors.ts';
import { ReviewSubmission } from '../commands/review-submission.ts';
import { ListReviews } from '../queries/list-reviews.ts';
import { ListSubmissions } from '../queries/list-submissions.ts';
import { ReadMergedTree } from '../queries/read-merged-tree.ts';

const submissionId = idOf('submission');
const listQuery = pageQuery
  .extend({ projectId: idOf('project').optional(), state: submissionState.optional(), taskId: idOf('task').optional() })
  .strict();

@ApiTags('submissions')
@Controller('api/submissions')
export class SubmissionsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @HttpCode(201)
  @Requires('submission.create', { scope: 'any' })
  @Idempotent()
  @ApiResponse({ status: 201, standardSchema: submissionView })
  create(
    @Body({ schema: createSubmission }) body: z.output<typeof createSubmission>,
    @CurrentActor() actor: Actor,
  ): Promise<SubmissionView> {
    return this.commands.execute(new ReceiveSubmission(actor.teamId, body, actor.id));
  }

  @Get()
  @Requires('submission.read')
  @ApiResponse({ status: 200, standardSchema: pageOf(submissionView) })
  list(
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
    @CurrentActor() actor: Actor,
  ): Promise<Page<SubmissionView>> {
    const visible = visibleProjects(actor, 'submission.read');
    return this.queries.execute(new ListSubmissions({ ...query, teamId: actor.teamId, visible }));
  }

  @Get(':submissionId')
  @Requires('submission.read')
  @ApiResponse({ status: 200, standardSchema: submissionView })
  async get(@Param('submissionId', { schema: submissionId }) id: string): Promise<SubmissionView> {
    const found = await this.queries.execute(new FindSubmission(id));
    if (found === null) throw new NotFound('submission', id);
    return found;
  }

  @Get(':submissionId/merges/:on/trees/:tree')
  @Requires('system.verify')
  @ApiOperation({ summary: 'For the verifier: a tree of a conflict that it is asked to settle, as a tar' })
  async mergedTree(
    @Param('submissionId', { schema: submissionId }) id: string,
    @Param('on', { schema: objectId }) on: string,
    @Param('tree', { schema: objectId }) tree: string,
  ): Promise<StreamableFile> {
    return new StreamableFile(await this.queries.execute(new ReadMergedTree(id, on, tree)), {
      type: 'application/x-tar',
    });
  }

  @Post(':submissionId/release')
  @HttpCode(200)
  @Requires('landing.release')
  @ApiResponse({ status: 200, standardSchema: submissionView })
  release(
    @Param('submissionId', { schema: submissionId }) id: string,
    @CurrentActor() actor: Actor,
  ): Promise<SubmissionView> {
    if (actor.kind !== 'user') throw new NotAPerson();
    return this.commands.execute(new ReleaseSubmission(id, { id: actor.id, name: actor.name }));
  }

  @Get(':submissionId/reviews')
  @Requires('submission.read')
  @ApiResponse({ status: 200, standardSchema: z.array(reviewView) })
  reviews(@Param('submissionId', { schema: submissionId }) id: string): Promise<ReviewView[]> {
    return this.queries.execute(new ListReviews(id));
  }

  @Post(':submissionId/reviews')
  @HttpCode(200)
  @Requires('submission.review')
  @ApiResponse({ status: 200, standardSchema: reviewView })
  review(
    @Param('submissionId', { schema: submissionId }) id: string,
    @Body({ schema: reviewSubmission }) body: z.output<typeof reviewSubmission>,
    @CurrentActor() actor: Actor,
  ): Promise<ReviewView> {
    if (actor.kind !== 'user') throw new NotAPerson();
    return this.commands.execute(new ReviewSubmission(id, body, { id: actor.id, name: actor.name }));
  }
}

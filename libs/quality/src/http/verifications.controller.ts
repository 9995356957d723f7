import { Body, Controller, Get, Header, HttpCode, Param, Post, Query, StreamableFile } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  firstLook,
  type FirstLook,
  idOf,
  objectId,
  pageOf,
  pageQuery,
  type RerunAnswer,
  rerunAnswer,
  rerunVerification,
  type VerificationExplanation,
  verificationExplanation,
  verificationPurposes,
  verificationView,
  type VerificationView,
} from '@muster/contracts';
import { toSarif } from '@muster/gate';
import { z } from 'zod';
import type { Page } from '#kernel';
import type { Actor } from '#messages/auth';
import { FindVerification } from '#messages/quality';
import { CurrentActor, Idempotent, NotFound, Requires } from '#platform/http';
import { RecordFirstLook } from '../commands/record-first-look.ts';
import { RerunVerification } from '../commands/rerun-verification.ts';
import { VerifyHead } from '../commands/verify-head.ts';
import { NoFindings, NotFinished } from '../quality.errors.ts';
import { ExplainVerification } from '../queries/explain-verification.ts';
import { ListVerifications } from '../queries/list-verifications.ts';
import { ReadTree } from '../queries/read-tree.ts';

const verificationId = idOf('verification');
const projectId = idOf('project');
const listQuery = pageQuery
  .extend({
    purpose: z.enum(verificationPurposes).optional(),
    state: z.enum(['pending', 'running', 'finished']).optional(),
  })
  .strict();
const verifyHead = z.strictObject({ purpose: z.literal('base').default('base') }).prefault({});

@ApiTags('verifications')
@Controller('api')
export class VerificationsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get('verifications/:verificationId')
  @Requires('verification.read')
  @ApiResponse({ status: 200, standardSchema: verificationView })
  async get(@Param('verificationId', { schema: verificationId }) id: string): Promise<VerificationView> {
    const found = await this.queries.execute(new FindVerification(id));
    if (found === null) throw new NotFound();
    return found;
  }

  @Get('verifications/:verificationId/explain')
  @Requires('verification.read')
  @ApiOperation({
    summary: 'How score and verdict came about, how to win points back, and what changed since the try before',
  })
  @ApiResponse({ status: 200, standardSchema: verificationExplanation })
  explain(@Param('verificationId', { schema: verificationId }) id: string): Promise<VerificationExplanation> {
    return this.queries.execute(new ExplainVerification(id));
  }

  @Post('verifications/:verificationId/rerun')
  @HttpCode(200)
  @Requires('verification.request')
  @Idempotent()
  @ApiOperation({ summary: 'Look anew at what could not be run or could not tell, or at the checks that are named' })
  @ApiResponse({ status: 200, standardSchema: rerunAnswer })
  rerun(
    @Param('verificationId', { schema: verificationId }) id: string,
    @Body({ schema: rerunVerification }) body: z.output<typeof rerunVerification>,
    @CurrentActor() actor: Actor,
  ): Promise<RerunAnswer> {
    return this.commands.execute(new RerunVerification(id, body.checks, actor.id));
  }

  @Get('verifications/:verificationId/sarif')
  @Requires('verification.read')
  @Header('content-type', 'application/sarif+json; charset=utf-8')
  async sarif(@Param('verificationId', { schema: verificationId }) id: string): Promise<Record<string, unknown>> {
    const found = await this.get(id);
    if (found.state !== 'finished') throw new NotFinished();
    if (found.facts === null) throw new NoFindings();
    return toSarif(found.facts);
  }

  @Get('verifications/:verificationId/trees/:tree')
  @Requires('system.verify')
  async tree(
    @Param('verificationId', { schema: verificationId }) id: string,
    @Param('tree', { schema: objectId }) tree: string,
  ): Promise<StreamableFile> {
    return new StreamableFile(await this.queries.execute(new ReadTree(id, tree)), { type: 'application/x-tar' });
  }

  @Post('verifications/:verificationId/first-look')
  @HttpCode(204)
  @Requires('system.verify')
  async told(
    @Param('verificationId', { schema: verificationId }) id: string,
    @Body({ schema: firstLook }) body: FirstLook,
  ): Promise<void> {
    await this.commands.execute(new RecordFirstLook(id, body));
  }

  @Get('projects/:projectId/verifications')
  @Requires('verification.read')
  @ApiResponse({ status: 200, standardSchema: pageOf(verificationView) })
  list(
    @Param('projectId', { schema: projectId }) id: string,
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
  ): Promise<Page<VerificationView>> {
    return this.queries.execute(new ListVerifications({ ...query, projectId: id }));
  }

  @Post('projects/:projectId/verifications')
  @HttpCode(201)
  @Requires('verification.request')
  @Idempotent()
  @ApiResponse({ status: 201, standardSchema: verificationView })
  verifyHead(
    @Param('projectId', { schema: projectId }) id: string,
    @Body({ schema: verifyHead }) _body: z.output<typeof verifyHead>,
  ): Promise<VerificationView> {
    return this.commands.execute(new VerifyHead(id));
  }
}

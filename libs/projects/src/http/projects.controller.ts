import { Body, Controller, Delete, Get, Headers, HttpCode, Param, Patch, Post, Query, Req, Res } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBody, ApiConsumes, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  createProject,
  importProject,
  pageOf,
  pageQuery,
  policyView,
  projectDetail,
  projectView,
  slug,
  updateProject,
  type PolicyView,
  type ProjectDetail,
  type ProjectView,
} from '@muster/contracts';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Page } from '#kernel';
import type { Actor } from '#messages/auth';
import { ReadPolicy } from '#messages/projects';
import { CurrentActor, Idempotent, type MusterRequest, Requires } from '#platform/http';
import { CreateProject } from '../commands/create-project.ts';
import { DeleteProject } from '../commands/delete-project.ts';
import { ImportProject } from '../commands/import-project.ts';
import { UpdateProject } from '../commands/update-project.ts';
import { ArchiveInvalid } from '../projects.errors.ts';
import { ListProjects } from '../queries/list-projects.ts';
import { ShowProject } from '../queries/show-project.ts';
import { archiveOf, archiveTypes } from './streamed-bodies.ts';

const search = z.strictObject({ ...pageQuery.shape, slug: slug.optional() });

@ApiTags('projects')
@Controller('api/projects')
export class ProjectsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get()
  @Requires('project.read')
  @ApiOperation({ summary: 'List the projects that you may see' })
  @ApiResponse({ status: 200, standardSchema: pageOf(projectView) })
  list(
    @CurrentActor() actor: Actor,
    @Query({ schema: search }) query: z.output<typeof search>,
  ): Promise<Page<ProjectView>> {
    return this.queries.execute(new ListProjects(actor, query));
  }

  @Post()
  @Requires('project.create')
  @Idempotent()
  @ApiOperation({ summary: 'Create a project, empty or from a git URL or a path that the operator allows' })
  @ApiResponse({ status: 201, standardSchema: projectView })
  create(
    @CurrentActor() actor: Actor,
    @Body({ schema: createProject }) body: z.output<typeof createProject>,
  ): Promise<ProjectView> {
    return this.commands.execute(new CreateProject(actor, body));
  }

  @Post('import')
  @Requires('project.create')
  @ApiOperation({ summary: 'Create a project from a tar or tar.gz in the body' })
  @ApiConsumes(...archiveTypes)
  @ApiBody({ schema: { type: 'string', format: 'binary' } })
  @ApiResponse({ status: 201, standardSchema: projectView })
  async import(
    @CurrentActor() actor: Actor,
    @Query({ schema: importProject }) query: z.output<typeof importProject>,
    @Req() request: MusterRequest,
  ): Promise<ProjectView> {
    const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? '';
    if (!archiveTypes.includes(type))
      throw new ArchiveInvalid(`its Content-Type must be one of ${archiveTypes.join(', ')}`);
    return this.commands.execute(new ImportProject(actor, query, archiveOf(request)));
  }

  @Get(':projectId')
  @Requires('project.read')
  @ApiOperation({ summary: 'A project with its rules, its agents and what was done on it' })
  @ApiResponse({ status: 200, standardSchema: projectDetail })
  find(@Param('projectId') projectId: string, @Res({ passthrough: true }) reply: FastifyReply): Promise<ProjectDetail> {
    return this.show(projectId, reply);
  }

  @Patch(':projectId')
  @Requires('project.manage')
  @ApiOperation({ summary: 'Rename a project; send If-Match with its ETag to not overwrite somebody else' })
  @ApiResponse({ status: 200, standardSchema: projectDetail })
  async update(
    @CurrentActor() actor: Actor,
    @Param('projectId') projectId: string,
    @Body({ schema: updateProject }) body: z.output<typeof updateProject>,
    @Headers('if-match') ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ProjectDetail> {
    await this.commands.execute(new UpdateProject(projectId, body, ifMatch, actor.id));
    return this.show(projectId, reply);
  }

  @Delete(':projectId')
  @Requires('project.delete')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a project that has no open tasks, with its repository' })
  delete(@CurrentActor() actor: Actor, @Param('projectId') projectId: string): Promise<void> {
    return this.commands.execute(new DeleteProject(projectId, actor.id));
  }

  @Get(':projectId/policy')
  @Requires('project.read')
  @ApiOperation({ summary: 'The rules in force: muster.yaml on the head of the branch, within what the server allows' })
  @ApiResponse({ status: 200, standardSchema: policyView })
  policy(@Param('projectId') projectId: string): Promise<PolicyView> {
    return this.queries.execute(new ReadPolicy(projectId));
  }

  private async show(projectId: string, reply: FastifyReply): Promise<ProjectDetail> {
    const { etag, project } = await this.queries.execute(new ShowProject(projectId));
    void reply.header('etag', etag);
    return project;
  }
}

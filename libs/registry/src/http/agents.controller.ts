import { Body, Controller, Delete, Get, Header, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiConsumes, ApiOperation, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  agentTemplate,
  agentVersionView,
  agentView,
  capabilityName,
  eventType,
  importAgents,
  pageOf,
  pageQuery,
  registerAgent,
  triggeredAgent,
  type AgentVersionView,
} from '@muster/contracts';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Page } from '#kernel';
import type { Actor } from '#messages/auth';
import { CurrentActor, Idempotent, Requires } from '#platform/http';
import { DeleteAgent } from '../commands/delete-agent.ts';
import { DeleteDraft } from '../commands/delete-draft.ts';
import { DeprecateVersion } from '../commands/deprecate-version.ts';
import { PublishVersion } from '../commands/publish-version.ts';
import { RegisterAgents, type Registered } from '../commands/register-agents.ts';
import { toYaml } from '../domain/agent-version.ts';
import { FindAgent } from '../queries/find-agent.ts';
import { FindVersion } from '../queries/find-version.ts';
import { type AgentView, ListAgents } from '../queries/list-agents.ts';
import { ListTriggered, type TriggeredAgent } from '../queries/list-triggered.ts';
import { ListVersions } from '../queries/list-versions.ts';
import { ReadTemplate, ReadTemplates, type TemplateView } from '../queries/read-templates.ts';

const page = z.strictObject(pageQuery.shape);
const search = page.extend({ q: z.string().min(1).max(200).optional(), capability: capabilityName.optional() });
const whichVersion = z.strictObject({ version: z.string().max(100).optional() });
const alsoPublish = z.strictObject({ publish: z.enum(['true', 'false']).optional() });
/** A body of `Content-Type: application/yaml` is the source itself. */
const registerBody = z.preprocess((sent) => (typeof sent === 'string' ? { source: sent } : sent), registerAgent);
const importBody = z.preprocess(
  (sent) => (typeof sent === 'string' ? { source: sent } : Array.isArray(sent) ? { definitions: sent } : sent),
  importAgents,
);
const versionList = z.object({ versions: z.array(agentVersionView) });
const YAML = 'application/yaml; charset=utf-8';

@ApiTags('agents')
@Controller('api/agents')
export class AgentsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get()
  @Requires('agent.read')
  @ApiOperation({ summary: 'List the agents of the team' })
  @ApiResponse({ status: 200, standardSchema: pageOf(agentView) })
  list(@CurrentActor() actor: Actor, @Query({ schema: page }) query: z.output<typeof page>): Promise<Page<AgentView>> {
    return this.queries.execute(new ListAgents(actor.teamId, query));
  }

  @Post()
  @Requires('agent.write')
  @Idempotent()
  @ApiOperation({ summary: 'Register a version of an agent, from YAML or JSON' })
  @ApiConsumes('application/json', 'application/yaml')
  @ApiResponse({ status: 201, standardSchema: agentVersionView })
  @ApiResponse({ status: 200, description: 'It was there, with the same content', standardSchema: agentVersionView })
  async register(
    @CurrentActor() actor: Actor,
    @Body({ schema: registerBody }) body: z.output<typeof registerAgent>,
    @Query({ schema: alsoPublish }) query: z.output<typeof alsoPublish>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AgentVersionView | undefined> {
    const definitions = body.source === undefined ? [body.definition] : undefined;
    const publish = body.publish || query.publish === 'true';
    const registered = await this.commands.execute(
      new RegisterAgents(actor, { source: body.source, definitions, publish }, true),
    );
    return statusOf(registered, reply).versions[0];
  }

  @Post('import')
  @Requires('agent.write')
  @Idempotent()
  @ApiOperation({ summary: 'Register several definitions at once, all or none' })
  @ApiConsumes('application/json', 'application/yaml')
  @ApiResponse({ status: 201, standardSchema: versionList })
  @ApiResponse({
    status: 200,
    description: 'All of them were there, with the same content',
    standardSchema: versionList,
  })
  async import(
    @CurrentActor() actor: Actor,
    @Body({ schema: importBody }) body: z.output<typeof importAgents>,
    @Query({ schema: alsoPublish }) query: z.output<typeof alsoPublish>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<{ versions: AgentVersionView[] }> {
    const publish = body.publish || query.publish === 'true';
    const registered = await this.commands.execute(new RegisterAgents(actor, { ...body, publish }, false));
    return { versions: statusOf(registered, reply).versions };
  }

  @Get('search')
  @Requires('agent.read')
  @ApiOperation({ summary: 'Find agents by words or by a published capability' })
  @ApiResponse({ status: 200, standardSchema: pageOf(agentView) })
  search(
    @CurrentActor() actor: Actor,
    @Query({ schema: search }) query: z.output<typeof search>,
  ): Promise<Page<AgentView>> {
    return this.queries.execute(new ListAgents(actor.teamId, query, query));
  }

  @Get('events/:type')
  @Requires('agent.read')
  @ApiOperation({ summary: 'Which published agents does an event type start?' })
  @ApiResponse({ status: 200, standardSchema: z.object({ event: eventType, agents: z.array(triggeredAgent) }) })
  async triggered(
    @CurrentActor() actor: Actor,
    @Param('type', { schema: eventType }) type: string,
  ): Promise<{ event: string; agents: TriggeredAgent[] }> {
    return { event: type, agents: await this.queries.execute(new ListTriggered(actor.teamId, type)) };
  }

  @Get('templates')
  @Requires('agent.read')
  @ApiOperation({ summary: 'The definitions that Muster ships to start from' })
  @ApiResponse({ status: 200, standardSchema: z.object({ items: z.array(agentTemplate) }) })
  async templates(): Promise<{ items: TemplateView[] }> {
    return { items: await this.queries.execute(new ReadTemplates()) };
  }

  @Get('templates/:name')
  @Requires('agent.read')
  @Header('content-type', YAML)
  @ApiProduces('application/yaml')
  @ApiOperation({ summary: 'One template as YAML' })
  async template(@Param('name') name: string): Promise<string> {
    return (await this.queries.execute(new ReadTemplate(name))).source;
  }

  @Get(':agent')
  @Requires('agent.read')
  @ApiOperation({ summary: 'One agent, by name or id' })
  @ApiResponse({ status: 200, standardSchema: agentView })
  find(@CurrentActor() actor: Actor, @Param('agent') agent: string): Promise<AgentView> {
    return this.queries.execute(new FindAgent(actor.teamId, agent));
  }

  @Delete(':agent')
  @Requires('agent.delete')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete an agent that nothing uses' })
  delete(@CurrentActor() actor: Actor, @Param('agent') agent: string): Promise<void> {
    return this.commands.execute(new DeleteAgent(actor.teamId, agent));
  }

  @Get(':agent/export')
  @Requires('agent.read')
  @Header('content-type', YAML)
  @ApiProduces('application/yaml')
  @ApiOperation({ summary: 'A definition as YAML; the latest version unless one is named' })
  async export(
    @CurrentActor() actor: Actor,
    @Param('agent') agent: string,
    @Query({ schema: whichVersion }) { version }: z.output<typeof whichVersion>,
  ): Promise<string> {
    return toYaml((await this.queries.execute(new FindVersion(actor.teamId, agent, version ?? null))).definition);
  }

  @Get(':agent/versions')
  @Requires('agent.read')
  @ApiOperation({ summary: 'The versions of an agent, the last registered first' })
  @ApiResponse({ status: 200, standardSchema: pageOf(agentVersionView) })
  versions(
    @CurrentActor() actor: Actor,
    @Param('agent') agent: string,
    @Query({ schema: page }) query: z.output<typeof page>,
  ): Promise<Page<AgentVersionView>> {
    return this.queries.execute(new ListVersions(actor.teamId, agent, query));
  }

  @Get(':agent/versions/:version')
  @Requires('agent.read')
  @ApiOperation({ summary: 'One version of an agent' })
  @ApiResponse({ status: 200, standardSchema: agentVersionView })
  version(
    @CurrentActor() actor: Actor,
    @Param('agent') agent: string,
    @Param('version') version: string,
  ): Promise<AgentVersionView> {
    return this.queries.execute(new FindVersion(actor.teamId, agent, version));
  }

  @Post(':agent/versions/:version/publish')
  @Requires('agent.publish')
  @HttpCode(200)
  @ApiOperation({ summary: 'Publish a draft: it can be assigned and run, and its triggers are live' })
  @ApiResponse({ status: 200, standardSchema: agentVersionView })
  publish(
    @CurrentActor() actor: Actor,
    @Param('agent') agent: string,
    @Param('version') version: string,
  ): Promise<AgentVersionView> {
    return this.commands.execute(new PublishVersion(actor.teamId, agent, version));
  }

  @Post(':agent/versions/:version/deprecate')
  @Requires('agent.publish')
  @HttpCode(200)
  @ApiOperation({ summary: 'Deprecate a published version: nothing new uses it' })
  @ApiResponse({ status: 200, standardSchema: agentVersionView })
  deprecate(
    @CurrentActor() actor: Actor,
    @Param('agent') agent: string,
    @Param('version') version: string,
  ): Promise<AgentVersionView> {
    return this.commands.execute(new DeprecateVersion(actor.teamId, agent, version));
  }

  @Delete(':agent/versions/:version')
  @Requires('agent.delete')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a draft; what was published stays' })
  deleteDraft(
    @CurrentActor() actor: Actor,
    @Param('agent') agent: string,
    @Param('version') version: string,
  ): Promise<void> {
    return this.commands.execute(new DeleteDraft(actor.teamId, agent, version));
  }
}

/** 201 for something new, 200 for what was there with the same content. */
function statusOf(registered: Registered, reply: FastifyReply): Registered {
  void reply.status(registered.created ? 201 : 200);
  return registered;
}

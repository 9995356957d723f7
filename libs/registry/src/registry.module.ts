import { Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { OwnedIds } from '#platform/http';
import { DeleteAgentHandler } from './commands/delete-agent.ts';
import { DeleteDraftHandler } from './commands/delete-draft.ts';
import { DeprecateVersionHandler } from './commands/deprecate-version.ts';
import { PublishVersionHandler } from './commands/publish-version.ts';
import { RegisterAgentsHandler } from './commands/register-agents.ts';
import { Agent } from './domain/agent.ts';
import { AgentVersion } from './domain/agent-version.ts';
import { BUNDLE_LIMIT_BYTES } from './domain/read-source.ts';
import { AgentsController } from './http/agents.controller.ts';
import { FindAgentHandler } from './queries/find-agent.ts';
import { FindPublishedVersionHandler } from './queries/find-published-version.ts';
import { FindTriggersHandler } from './queries/find-triggers.ts';
import { FindVersionHandler } from './queries/find-version.ts';
import { ListAgentsHandler } from './queries/list-agents.ts';
import { ListTriggeredHandler } from './queries/list-triggered.ts';
import { ListVersionsHandler } from './queries/list-versions.ts';
import { ReadTemplateHandler, ReadTemplatesHandler } from './queries/read-templates.ts';

export const entities = [Agent, AgentVersion];
const controllers = [AgentsController];
const commandHandlers = [
  RegisterAgentsHandler,
  PublishVersionHandler,
  DeprecateVersionHandler,
  DeleteDraftHandler,
  DeleteAgentHandler,
];
const queryHandlers = [
  ListAgentsHandler,
  FindAgentHandler,
  ListVersionsHandler,
  FindVersionHandler,
  FindPublishedVersionHandler,
  FindTriggersHandler,
  ListTriggeredHandler,
  ReadTemplatesHandler,
  ReadTemplateHandler,
];

@Module({ controllers, providers: [...commandHandlers, ...queryHandlers] })
export class RegistryModule implements OnModuleInit {
  constructor(private readonly host: HttpAdapterHost) {
    OwnedIds.register('agent', 'agents', { project: null });
    OwnedIds.register('agentVersion', 'agent_versions', { project: null });
  }

  onModuleInit(): void {
    takeYaml(this.host);
  }
}

/** `Content-Type: application/yaml` arrives as text. A process without HTTP (a worker) has no adapter. */
function takeYaml({ httpAdapter }: HttpAdapterHost): void {
  if (httpAdapter === undefined) return;
  const fastify = httpAdapter.getInstance<FastifyInstance>();
  fastify.addContentTypeParser(
    ['application/yaml', 'application/x-yaml', 'text/yaml'],
    { parseAs: 'string', bodyLimit: 2 * BUNDLE_LIMIT_BYTES },
    (_request, body, done) => done(null, body),
  );
}

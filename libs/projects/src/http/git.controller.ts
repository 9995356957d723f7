import { Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import type { Readable } from 'node:stream';
import { type Actor, Authenticator } from '#messages/auth';
import { FindProject, type ProjectRecord } from '#messages/projects';
import { Config } from '#platform/config';
import { CurrentActor, type MusterRequest, NotAllowed, Requires } from '#platform/http';
import { type GitHttpRequest, HttpBackend } from '../git/http-backend.ts';
import { PushDoor } from '../git/push-door.ts';
import { UploadPack } from '../git/upload-pack.ts';
import { GitRequestInvalid, ProjectUnknown } from '../projects.errors.ts';

const services = ['git-upload-pack', 'git-receive-pack'] as const;
/** A push may be larger than a JSON body: it brings binary files and history. */
const PUSH_TIMES_BODY_LIMIT = 10;

/** Git over smart HTTP. The password is an API key or an access token, the user name does not matter. */
@ApiExcludeController()
@Controller('git')
export class GitController {
  constructor(
    private readonly queries: QueryBus,
    private readonly authenticator: Authenticator,
    private readonly backend: HttpBackend,
    private readonly uploads: UploadPack,
    private readonly door: PushDoor,
    private readonly config: Config,
  ) {}

  @Get(':projectId.git/info/refs')
  @Requires('repository.read', { challenge: 'Basic' })
  async refs(
    @Param('projectId') projectId: string,
    @Query('service') wanted: string | undefined,
    @CurrentActor() actor: Actor,
    @Req() request: MusterRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const service = services.find((known) => known === wanted);
    if (service === undefined)
      throw new GitRequestInvalid(
        'Only smart HTTP is answered here. Use a git of this decade: git clone <server>/git/<project id>.git',
      );
    if (service === 'git-receive-pack' && !this.authenticator.allows(actor, 'repository.submit', projectId))
      throw new NotAllowed('repository.submit');
    await this.project(projectId);
    if (service === 'git-upload-pack' && (await this.uploads.offer(projectId, request.headers, reply))) return;
    await this.answer(
      {
        ...this.of(projectId, actor, request),
        method: 'GET',
        path: 'info/refs',
        query: `service=${service}`,
        body: null,
      },
      reply,
    );
  }

  @Post(':projectId.git/git-upload-pack')
  @Requires('repository.read', { challenge: 'Basic' })
  async fetch(
    @Param('projectId') projectId: string,
    @CurrentActor() actor: Actor,
    @Req() request: MusterRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.project(projectId);
    const body = this.bodyOf(request, 'application/x-git-upload-pack-request');
    if (this.uploads.understands(request.headers)) {
      await this.uploads.answer(projectId, body, request.headers, reply);
      return;
    }
    await this.answer(
      { ...this.of(projectId, actor, request), method: 'POST', path: 'git-upload-pack', query: '', body },
      reply,
    );
  }

  @Post(':projectId.git/git-receive-pack')
  @Requires('repository.submit', { challenge: 'Basic' })
  async push(
    @Param('projectId') projectId: string,
    @CurrentActor() actor: Actor,
    @Req() request: MusterRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { teamId, branch } = await this.project(projectId);
    const body = this.bodyOf(request, 'application/x-git-receive-pack-request');
    const expected = this.door.expect({ actor, teamId, projectId, branch });
    await this.answer(
      {
        ...this.of(projectId, actor, request),
        method: 'POST',
        path: 'git-receive-pack',
        query: '',
        body,
        env: expected.env,
        settings: [
          `core.hooksPath=${expected.hooks}`,
          `receive.maxInputSize=${this.config.bodyLimitBytes * PUSH_TIMES_BODY_LIMIT}`,
        ],
        onEnd: expected.end,
      },
      reply,
    );
  }

  private async project(projectId: string): Promise<ProjectRecord> {
    const project = await this.queries.execute(new FindProject(projectId));
    if (project === null) throw new ProjectUnknown();
    return project;
  }

  private of(
    projectId: string,
    actor: Actor,
    request: MusterRequest,
  ): Pick<GitHttpRequest, 'projectId' | 'headers' | 'remoteUser' | 'remoteAddress'> {
    return { projectId, headers: request.headers, remoteUser: actor.id, remoteAddress: request.ip };
  }

  private bodyOf(request: MusterRequest, type: string): Readable {
    if (request.headers['content-type'] !== type)
      throw new GitRequestInvalid(`This address takes ${type} as git sends it.`);
    return request.raw;
  }

  private async answer(request: GitHttpRequest, reply: FastifyReply): Promise<void> {
    const { status, headers, body } = await this.backend.answer(request);
    void reply.status(status);
    for (const [name, value] of headers) void reply.header(name, value);
    await reply.send(body);
  }
}

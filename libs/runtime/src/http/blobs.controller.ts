import { blobDigest, blobView, idOf, type BlobView } from '@muster/contracts';
import { Body, Controller, Get, Param, Put, StreamableFile } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Actor } from '#messages/auth';
import { CurrentActor, Requires } from '#platform/http';
import { TaskBlobs } from '../blobs/task-blobs.ts';
import { BlobBodyMissing, StaleLease } from '../runtime.errors.ts';
import * as schemas from './schemas.ts';

const projectId = idOf('project');
const binary = { schema: { type: 'string', format: 'binary' } } as const;

/** Contents that inputs and outputs of tasks refer to; the same content is stored once. */
@ApiTags('blobs')
@Controller('api')
export class BlobsController {
  constructor(private readonly blobs: TaskBlobs) {}

  @Put('projects/:projectId/blobs/:digest')
  @Requires('task.create')
  @ApiOperation({ summary: 'Store the JSON of an input under its SHA-256, for tasks of this project to refer to' })
  @ApiConsumes('application/octet-stream')
  @ApiBody(binary)
  @ApiResponse({ status: 200, standardSchema: blobView })
  keep(
    @CurrentActor() actor: Actor,
    @Param('projectId', { schema: projectId }) project: string,
    @Param('digest', { schema: blobDigest }) digest: string,
    @Body() body: unknown,
  ): Promise<BlobView> {
    return this.blobs.keep({ teamId: actor.teamId, projectId: project, digest, by: actor.id }, bytesOf(body));
  }

  @Put('tasks/:taskId/attempts/:fence/blobs/:digest')
  @Requires('instance.connect')
  @ApiOperation({ summary: 'Store the JSON of an output under its SHA-256, for this attempt to complete with' })
  @ApiConsumes('application/octet-stream')
  @ApiBody(binary)
  @ApiResponse({ status: 200, standardSchema: blobView })
  async keepOfAttempt(
    @CurrentActor() actor: Actor,
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Param('fence', { schema: schemas.fence }) fence: number,
    @Param('digest', { schema: blobDigest }) digest: string,
    @Body() body: unknown,
  ): Promise<BlobView> {
    const kept = await this.blobs.keepOfAttempt({ actorId: actor.id, taskId, fence, digest }, bytesOf(body));
    if (kept === null) throw new StaleLease(taskId, fence);
    return kept;
  }

  @Get('projects/:projectId/blobs/:digest')
  @Requires('task.read')
  @ApiOperation({ summary: 'Read a content that tasks of this project refer to' })
  @ApiResponse({ status: 200, content: { 'application/octet-stream': binary } })
  async read(
    @Param('projectId', { schema: projectId }) project: string,
    @Param('digest', { schema: blobDigest }) digest: string,
  ): Promise<StreamableFile> {
    return new StreamableFile(await this.blobs.read(project, digest), { type: 'application/octet-stream' });
  }
}

function bytesOf(body: unknown): Buffer {
  if (!Buffer.isBuffer(body)) throw new BlobBodyMissing();
  return body;
}

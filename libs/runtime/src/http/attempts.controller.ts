import {
  checkpointBody,
  completeBody,
  costBody,
  failBody,
  logBody,
  progressBody,
  releaseBody,
} from '@muster/contracts';
import { Body, Controller, HttpCode, Param, Post } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import type { Actor } from '#messages/auth';
import { CurrentActor, Requires } from '#platform/http';
import { AppendLog } from '../commands/append-log.ts';
import { CompleteAttempt } from '../commands/complete-attempt.ts';
import { FailAttempt } from '../commands/fail-attempt.ts';
import { ReleaseAttempt } from '../commands/release-attempt.ts';
import { ReportCost } from '../commands/report-cost.ts';
import { ReportProgress } from '../commands/report-progress.ts';
import { SaveCheckpoint } from '../commands/save-checkpoint.ts';
import type { Ended, Renewed } from '../domain/verb-answers.ts';
import * as schemas from './schemas.ts';

/** What the holder of an attempt may say about it. A fence that is not the task's current one is answered 409 `runtime.stale_lease`. */
@ApiTags('attempts')
@Controller('api/tasks/:taskId/attempts/:fence')
export class AttemptsController {
  constructor(private readonly commands: CommandBus) {}

  @Post('progress')
  @HttpCode(200)
  @Requires('instance.connect')
  @ApiOperation({ summary: 'Report progress' })
  @ApiResponse({ status: 200, standardSchema: schemas.renewed })
  progress(
    @CurrentActor() actor: Actor,
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Param('fence', { schema: schemas.fence }) fence: number,
    @Body({ schema: progressBody }) body: z.output<typeof progressBody>,
  ): Promise<Renewed> {
    return this.commands.execute(new ReportProgress({ actorId: actor.id, taskId, fence }, body));
  }

  @Post('log')
  @HttpCode(200)
  @Requires('instance.connect')
  @ApiOperation({ summary: 'Append log lines' })
  @ApiResponse({ status: 200, standardSchema: schemas.renewed })
  log(
    @CurrentActor() actor: Actor,
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Param('fence', { schema: schemas.fence }) fence: number,
    @Body({ schema: logBody }) body: z.output<typeof logBody>,
  ): Promise<Renewed> {
    return this.commands.execute(new AppendLog({ actorId: actor.id, taskId, fence }, body));
  }

  @Post('cost')
  @HttpCode(200)
  @Requires('instance.connect')
  @ApiOperation({ summary: 'Report a cost, once for each key' })
  @ApiResponse({ status: 200, standardSchema: schemas.charged })
  cost(
    @CurrentActor() actor: Actor,
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Param('fence', { schema: schemas.fence }) fence: number,
    @Body({ schema: costBody }) body: z.output<typeof costBody>,
  ): Promise<Renewed & { readonly counted: boolean }> {
    return this.commands.execute(new ReportCost({ actorId: actor.id, taskId, fence }, body));
  }

  @Post('checkpoint')
  @HttpCode(200)
  @Requires('instance.connect')
  @ApiOperation({ summary: 'Keep a state for the next attempt' })
  @ApiResponse({ status: 200, standardSchema: schemas.renewed })
  checkpoint(
    @CurrentActor() actor: Actor,
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Param('fence', { schema: schemas.fence }) fence: number,
    @Body({ schema: checkpointBody }) body: z.output<typeof checkpointBody>,
  ): Promise<Renewed> {
    return this.commands.execute(new SaveCheckpoint({ actorId: actor.id, taskId, fence }, body));
  }

  @Post('complete')
  @HttpCode(200)
  @Requires('instance.connect')
  @ApiOperation({ summary: 'Complete the task with a result' })
  @ApiResponse({ status: 200, standardSchema: schemas.ended })
  complete(
    @CurrentActor() actor: Actor,
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Param('fence', { schema: schemas.fence }) fence: number,
    @Body({ schema: completeBody.prefault({}) }) body: z.output<typeof completeBody>,
  ): Promise<Ended> {
    return this.commands.execute(new CompleteAttempt({ actorId: actor.id, taskId, fence }, body));
  }

  @Post('fail')
  @HttpCode(200)
  @Requires('instance.connect')
  @ApiOperation({ summary: 'Say that the attempt did not work' })
  @ApiResponse({ status: 200, standardSchema: schemas.ended })
  fail(
    @CurrentActor() actor: Actor,
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Param('fence', { schema: schemas.fence }) fence: number,
    @Body({ schema: failBody }) body: z.output<typeof failBody>,
  ): Promise<Ended> {
    return this.commands.execute(new FailAttempt({ actorId: actor.id, taskId, fence }, body));
  }

  @Post('release')
  @HttpCode(200)
  @Requires('instance.connect')
  @ApiOperation({ summary: 'Give the task back; costs no attempt' })
  @ApiResponse({ status: 200, standardSchema: schemas.ended })
  release(
    @CurrentActor() actor: Actor,
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Param('fence', { schema: schemas.fence }) fence: number,
    @Body({ schema: releaseBody.prefault({}) }) body: z.output<typeof releaseBody>,
  ): Promise<Ended> {
    return this.commands.execute(new ReleaseAttempt({ actorId: actor.id, taskId, fence }, body));
  }
}

import {
  createTask,
  createTasks,
  createdTasks,
  operation,
  executeCapability,
  pageOf,
  pageQuery,
  taskCancelled,
  taskDetail,
  taskExplanation,
  taskHistory,
  taskView,
  type Operation,
  type TaskCancelled,
  type TaskDetail,
  type TaskExplanation,
  type TaskHistory,
  type TaskView,
} from '@muster/contracts';
import { Body, Controller, Get, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import type { Page } from '#kernel';
import type { Actor } from '#messages/auth';
import { CancelTask, type NewTask } from '#messages/runtime';
import {
  CurrentActor,
  goneSignal,
  IdempotentByItself,
  IdempotentRequests,
  type MusterRequest,
  type RequestKey,
  Requires,
  visibleProjects,
} from '#platform/http';
import { type Started, TaskStarts } from '../batches/task-starts.ts';
import { CancelTree } from '../commands/cancel-tree.ts';
import { RetryTask } from '../commands/retry-task.ts';
import { StartTasks, type StartedItem } from '../commands/start-tasks.ts';
import { TaskEnd } from '../dispatch/task-end.ts';
import { isReserved } from '../domain/lease-rules.ts';
import { ExplainTask } from '../queries/explain-task.ts';
import { ListOperations } from '../queries/list-operations.ts';
import { ListTasks } from '../queries/list-tasks.ts';
import { ReadHistory } from '../queries/read-history.ts';
import { ReadLog, type LogLine } from '../queries/read-log.ts';
import { ReadTask } from '../queries/read-task.ts';
import { ReservedCapability } from '../runtime.errors.ts';
import * as schemas from './schemas.ts';

@ApiTags('tasks')
@Controller('api')
export class TasksController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly taskEnd: TaskEnd,
    private readonly starts: TaskStarts,
    private readonly idempotent: IdempotentRequests,
  ) {}

  @Post('tasks')
  @Requires('task.create')
  @IdempotentByItself()
  @ApiOperation({ summary: 'Ask for a capability on a project' })
  @ApiResponse({ status: 201, standardSchema: taskView })
  create(
    @CurrentActor() actor: Actor,
    @Body({ schema: createTask }) body: z.output<typeof createTask>,
    @Req() request: MusterRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<unknown> {
    if (request.headers['idempotency-key'] !== undefined && !this.starts.isPlain(body))
      return this.idempotent.answer(request, reply, async () => (await this.start(actor, body, request)).view());
    return this.idempotent.answerKept(request, reply, async (key) => {
      const started = await this.start(actor, body, request, key);
      return { body: started.view(), made: started.created };
    });
  }

  @Post('tasks/bulk')
  @HttpCode(200)
  @Requires('task.create')
  @ApiOperation({
    summary:
      'Ask for many at once; each is made or refused by itself, and repeated with its own idempotencyKey makes nothing new',
  })
  @ApiResponse({ status: 200, standardSchema: createdTasks })
  async createMany(
    @CurrentActor() actor: Actor,
    @Body({ schema: createTasks }) body: z.output<typeof createTasks>,
  ): Promise<{ items: StartedItem[] }> {
    const { tasks, ...shared } = body;
    return {
      items: await this.commands.execute(
        new StartTasks(
          tasks.map(({ dependsOn, ...task }) => ({
            ...this.asked(actor, { ...shared, ...task }, task.idempotencyKey),
            dependsOn,
          })),
        ),
      ),
    };
  }

  @Get('tasks')
  @Requires('task.read')
  @ApiOperation({
    summary:
      'List tasks, newest first; a page of a filter that few tasks fit may hold fewer than limit, and goes on by its cursor',
  })
  @ApiResponse({ status: 200, standardSchema: pageOf(taskView) })
  list(
    @CurrentActor() actor: Actor,
    @Query({ schema: schemas.taskQuery }) q: z.output<typeof schemas.taskQuery>,
  ): Promise<Page<TaskView>> {
    const projectIds = q.projectId === undefined ? visibleProjects(actor, 'task.read') : [q.projectId];
    return this.queries.execute(
      new ListTasks({
        teamId: actor.teamId,
        projectIds,
        states: q.state,
        capability: q.capability,
        parentId: q.parentId,
        agent: q.agent,
        priorities: q.priority,
        createdAfter: q.createdAfter,
        createdBefore: q.createdBefore,
        limit: q.limit,
        cursor: q.cursor,
      }),
    );
  }

  @Get('tasks/:taskId')
  @Requires('task.read')
  @ApiOperation({ summary: 'Show a task with its attempts' })
  @ApiResponse({ status: 200, standardSchema: taskDetail })
  show(@Param('taskId', { schema: schemas.taskId }) taskId: string): Promise<TaskDetail> {
    return this.queries.execute(new ReadTask(taskId));
  }

  @Get('tasks/:taskId/history')
  @Requires('task.read')
  @ApiOperation({
    summary:
      'Show everything that is known of a task: attempts and what they left, changes and what came of them, events',
  })
  @ApiResponse({ status: 200, standardSchema: taskHistory })
  history(
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Query({ schema: pageQuery }) q: z.output<typeof pageQuery>,
  ): Promise<TaskHistory> {
    return this.queries.execute(new ReadHistory(taskId, q));
  }

  @Get('tasks/:taskId/explain')
  @Requires('task.read')
  @ApiOperation({ summary: 'Say what keeps a task from being worked on, and what would change that' })
  @ApiResponse({ status: 200, standardSchema: taskExplanation })
  explain(@Param('taskId', { schema: schemas.taskId }) taskId: string): Promise<TaskExplanation> {
    return this.queries.execute(new ExplainTask(taskId));
  }

  @Get('tasks/:taskId/logs')
  @Requires('task.read')
  @ApiOperation({ summary: 'Read what the attempts of a task logged, oldest first' })
  @ApiResponse({ status: 200, standardSchema: pageOf(schemas.logLine) })
  logs(
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Query({ schema: schemas.logQuery }) q: z.output<typeof schemas.logQuery>,
  ): Promise<Page<LogLine>> {
    return this.queries.execute(new ReadLog(taskId, q));
  }

  @Post('tasks/:taskId/cancel')
  @HttpCode(200)
  @Requires('task.cancel')
  @ApiOperation({
    summary: 'Cancel a task, or with tree everything below it as well; agents are told to stop',
  })
  @ApiResponse({ status: 200, standardSchema: taskCancelled })
  cancel(
    @Param('taskId', { schema: schemas.taskId }) taskId: string,
    @Body({ schema: schemas.cancelBody.prefault({}) }) body: z.output<typeof schemas.cancelBody>,
  ): Promise<TaskCancelled> {
    if (body.tree) return this.commands.execute(new CancelTree(taskId, body.reason));
    return this.commands.execute(new CancelTask(taskId, body.reason));
  }

  @Post('tasks/:taskId/retry')
  @HttpCode(200)
  @Requires('task.create')
  @ApiOperation({ summary: 'Queue a task again that waits for a person' })
  @ApiResponse({ status: 200, standardSchema: taskView })
  retry(@Param('taskId', { schema: schemas.taskId }) taskId: string): Promise<TaskView> {
    return this.commands.execute(new RetryTask(taskId));
  }

  @Post('projects/:projectId/capabilities/:capability/execute')
  @Requires('task.create')
  @IdempotentByItself()
  @ApiOperation({ summary: 'Ask for a capability on a project, and wait a little for the answer' })
  @ApiResponse({ status: 201, standardSchema: taskView })
  execute(
    @CurrentActor() actor: Actor,
    @Param('projectId', { schema: schemas.projectId }) projectId: string,
    @Param('capability', { schema: schemas.capability }) capability: string,
    @Body({ schema: executeCapability.prefault({}) }) body: z.output<typeof executeCapability>,
    @Req() request: MusterRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<unknown> {
    const { waitSeconds, ...wish } = body;
    return this.idempotent.answer(request, reply, async () => {
      const started = await this.start(actor, { ...wish, projectId, capability }, request);
      return this.taskEnd.of(started.view(), waitSeconds, goneSignal(reply));
    });
  }

  @Get('projects/:projectId/operations')
  @Requires('task.read')
  @ApiOperation({ summary: "List a project's operations, newest first" })
  @ApiResponse({ status: 200, standardSchema: pageOf(operation) })
  operations(
    @Param('projectId', { schema: schemas.projectId }) projectId: string,
    @Query({ schema: schemas.operationQuery }) q: z.output<typeof schemas.operationQuery>,
  ): Promise<Page<Operation>> {
    return this.queries.execute(new ListOperations(projectId, { states: q.state, limit: q.limit, cursor: q.cursor }));
  }

  /** Straight to where tasks are made: the bus costs more than what it leads to. */
  private start(
    actor: Actor,
    task: z.input<typeof createTask>,
    { headers }: MusterRequest,
    keeping: RequestKey | null = null,
  ): Promise<Started> {
    const key = headers['idempotency-key'];
    return this.starts.one(this.asked(actor, task, typeof key === 'string' ? key : undefined), keeping);
  }

  private asked(actor: Actor, task: z.input<typeof createTask>, key: string | undefined): NewTask {
    if (isReserved(task.capability)) throw new ReservedCapability(task.capability);
    return {
      ...task,
      teamId: actor.teamId,
      requestedBy: actor.id,
      // The answer to a repeated request is kept by the edge; this holds even where that answer was lost with its server.
      ...(key === undefined ? {} : { idempotencyKey: `${actor.id}:${task.projectId}:${task.capability}:${key}` }),
    };
  }
}

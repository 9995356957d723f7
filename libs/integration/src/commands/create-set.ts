import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import type { CreateSet as Wanted, SetView } from '@muster/contracts';
import { FindTask } from '#messages/runtime';
import { Ids } from '#kernel';
import { Database, sqlState } from '#platform/database';
import { isFinal, submissionColumns, type SubmissionRow } from '../domain/submission.ts';
import { setColumns, type SetRow } from '../domain/set.ts';
import { InAnotherSet, NotFound, OneOfEachProject, TooLateForASet } from '../integration.errors.ts';
import { setEvent } from '../landing-sets.ts';
import { FindSet } from '../queries/show-sets.ts';

export class CreateSet extends Command<SetView> {
  constructor(
    readonly teamId: string,
    readonly wanted: Wanted,
    readonly requestedBy: string,
  ) {
    super();
  }
}

interface Member {
  readonly projectId: string;
  readonly taskId: string | null;
  readonly submissionId: string | null;
}

@CommandHandler(CreateSet)
export class CreateSetHandler implements ICommandHandler<CreateSet> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly ids: Ids,
  ) {}

  async execute({ teamId, wanted, requestedBy }: CreateSet): Promise<SetView> {
    const members = await this.members(teamId, wanted);
    if (new Set(members.map(({ projectId }) => projectId)).size < members.length) throw new OneOfEachProject();
    const id = this.ids.next('set');
    try {
      await this.database.transaction(async (tx) => {
        const [set] = await tx.sql<SetRow>(
          `insert into landing_sets (id, team_id, title, kind, state, requested_by, next_action_at)
           values ($1, $2, $3, 'change', 'gathering', $4, muster_now()) returning ${setColumns}`,
          [id, teamId, wanted.title.replaceAll('\0', ''), requestedBy],
        );
        if (set === undefined) throw new Error('An inserted row did not come back.');
        for (const { projectId, taskId, submissionId } of members) {
          await tx.sql(
            `insert into landing_set_members (set_id, project_id, task_id, submission_id) values ($1, $2, $3, $4)`,
            [id, projectId, taskId, submissionId],
          );
          // Whoever read one of these before it belonged to a set writes nothing any more: they read an older step.
          const open = await tx.sql<SubmissionRow>(
            `update submissions set step = step + 1, held = case when turn is null then held end, turn = null, suspect = false,
               candidate_head = case when turn is null then candidate_head end,
               state = case when turn is not null and state = 'verifying' then 'queued' else state end, next_action_at = muster_now()
             where (task_id = $1 or id = $2) and state in ('received', 'verifying', 'queued') returning ${submissionColumns}`,
            [taskId, submissionId],
          );
          const [newest] =
            open.length > 0
              ? open
              : await tx.sql<SubmissionRow>(
                  `select ${submissionColumns} from submissions where task_id = $1 or id = $2 order by id desc limit 1`,
                  [taskId, submissionId],
                );
          const isLate = newest?.state === 'landing' || newest?.state === 'landed';
          if (isLate || (submissionId !== null && newest !== undefined && isFinal(newest.state)))
            throw new TooLateForASet(newest.id, newest.state);
        }
        tx.append(setEvent(set, 'set.created', { members }));
      });
    } catch (error) {
      if (sqlState(error) === '23505') throw new InAnotherSet();
      throw error;
    }
    return await this.queries.execute(new FindSet(id));
  }

  private async members(teamId: string, { tasks = [], submissions = [] }: Wanted): Promise<Member[]> {
    const members: Member[] = [];
    for (const taskId of tasks) {
      const task = await this.queries.execute(new FindTask(taskId));
      if (task === null || task.teamId !== teamId) throw new NotFound('task', taskId);
      if (['succeeded', 'failed', 'cancelled'].includes(task.state)) throw new TooLateForASet(taskId, task.state);
      members.push({ projectId: task.projectId, taskId, submissionId: null });
    }
    for (const submissionId of submissions) {
      const [row] = await this.database.sql<{ project_id: string; task_id: string | null }>(
        `select project_id, task_id from submissions where id = $1 and team_id = $2 and kind = 'change'`,
        [submissionId, teamId],
      );
      if (row === undefined) throw new NotFound('submission', submissionId);
      // What is handed in for the same task after a rework belongs to the set as well.
      const { project_id: projectId, task_id: taskId } = row;
      members.push({ projectId, taskId, submissionId: taskId === null ? submissionId : null });
    }
    return members;
  }
}

import { priorities } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { Ids, MusterError } from '#kernel';
import { Batcher } from '#platform/batching';
import { Database } from '#platform/database';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { DeadlinePassed, DependencyFailed, DependencyUnknown } from '../runtime.errors.ts';
import { createTermed, lockNeeded, markNeeded, type NewTermedRow } from '../sql/task-terms.ts';

const maxItems = 200;

export type TermedCreation = Omit<NewTermedRow, 'id' | 'needs'> & {
  readonly teamId: string;
  readonly capability: string;
  readonly dependsOn: readonly string[];
};
type Item = TermedCreation & { readonly id: string };

/** New tasks with a deadline or with tasks to wait for. Those of many callers share a transaction; plain ones never come here. */
@Injectable()
export class TermedCreations {
  private readonly batcher: Batcher<Item, string | null | MusterError>;

  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
    private readonly wakeUps: WakeUps,
  ) {
    this.batcher = new Batcher({
      name: 'task creations with terms',
      maxItems,
      bytesOf: ({ input }) => input.length,
      fairnessKey: ({ requestedBy }) => requestedBy,
      run: (items) => this.write(items),
    });
  }

  /** The new task's id; null when the team has a task with this idempotency key already. */
  async add(creation: TermedCreation): Promise<string | null> {
    const answer = await this.batcher.add({ ...creation, id: this.ids.next('task') });
    if (answer instanceof MusterError) throw answer;
    return answer;
  }

  private async write(items: readonly Item[]): Promise<(string | null | MusterError)[]> {
    const { answers, lanes } = await this.database.transaction(async (tx) => {
      const answers = new Map<Item, string | MusterError>();
      const wanted = [...new Set(items.flatMap((item) => item.dependsOn))].sort();
      const needed = new Map(
        (wanted.length === 0 ? [] : await lockNeeded(tx, wanted)).map((task) => [task.id, task] as const),
      );
      const [clock] = await tx.sql<{ now: Date }>(`select muster_now() as now`);
      const rows = new Map<string, Item>();
      const termed: NewTermedRow[] = [];
      for (const item of items) {
        const own = item.dependsOn.map((id) => ({ id, task: needed.get(id) }));
        const unknown = own.filter(({ task }) => task?.team_id !== item.teamId).map(({ id }) => id);
        const ended = own.filter(({ task }) => task?.state === 'failed' || task?.state === 'cancelled');
        if (item.deadline !== null && clock !== undefined && new Date(item.deadline) <= clock.now)
          answers.set(item, new DeadlinePassed(item.deadline));
        else if (unknown.length > 0) answers.set(item, new DependencyUnknown(unknown));
        else if (ended.length > 0)
          answers.set(item, new DependencyFailed(ended.map(({ id, task }) => `${id} (${task?.state ?? 'gone'})`)));
        else {
          const { teamId: _team, capability: _capability, dependsOn: _dependsOn, ...row } = item;
          rows.set(item.id, item);
          termed.push({ ...row, needs: own.map(({ id, task }) => ({ id, met: task?.state === 'succeeded' })) });
        }
      }
      const open = new Set(termed.flatMap(({ needs }) => needs.filter(({ met }) => !met).map(({ id }) => id)));
      if (open.size > 0) await markNeeded(tx, [...open]);
      const lanes = new Map<number, number>();
      for (const made of termed.length === 0 ? [] : await createTermed(tx, termed)) {
        const item = rows.get(made.id);
        if (item === undefined) continue;
        answers.set(item, made.id);
        const about = { teamId: made.team_id, projectId: made.project_id, subject: made.id };
        tx.append({
          ...about,
          type: 'task.created',
          priority: priorities[made.priority] ?? 'normal',
          data: {
            taskId: made.id,
            capability: item.capability,
            title: item.title,
            requestedBy: item.requestedBy,
            reopens: item.reopens,
          },
        });
        if (made.state === 'waiting')
          tx.append({
            ...about,
            type: 'task.waiting',
            data: { taskId: made.id, reason: 'dependency', ref: made.wait_ref },
          });
        if (made.ready_seq !== null)
          lanes.set(made.lane, Math.min(lanes.get(made.lane) ?? Number.POSITIVE_INFINITY, Number(made.ready_seq)));
      }
      return { answers, lanes };
    });
    if (lanes.size > 0) this.wakeUps.somethingToClaim([...lanes].map(([lane, seq]) => ({ lane, seq })));
    return items.map((item) => answers.get(item) ?? null);
  }
}

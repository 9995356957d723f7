import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ApiKeyCreated, InvariantReport, TaskAssignment } from '@muster/contracts';
import { defineAgent, MusterClient } from '@muster/sdk';
import { Invariants } from '#platform/invariants';
import { startApp, type TestServer } from '#test/app';

let server: TestServer;
let owner: MusterClient;
let team: string;
let project: string;
let agentToken: string;
let instanceId: string;

const worker = defineAgent({ name: 'worker', capacity: 10, capabilities: { 'text.count': () => null } });
const asAgent = async <T>(path: string, body: unknown): Promise<T> => {
  const answer = await server.request('POST', path, body, { token: agentToken });
  if (answer.status >= 300) throw new Error(`${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
};
const claim = async (): Promise<TaskAssignment> => {
  const path = `/api/runtime/instances/${instanceId}/claim`;
  const { tasks } = await asAgent<{ tasks: TaskAssignment[] }>(path, { waitSeconds: 10, count: 1 });
  if (tasks[0] === undefined) throw new Error('there was nothing to claim');
  return tasks[0];
};
const act = (task: TaskAssignment, verb: string, body: unknown): Promise<unknown> =>
  asAgent(`/api/tasks/${task.taskId}/attempts/${task.fence}/${verb}`, body);
const create = (more: object = {}) => owner.tasks.create({ projectId: project, capability: 'text.count', ...more });
const broken = (report: InvariantReport): string[] => report.invariants.filter(({ ok }) => !ok).map(({ name }) => name);

const tasks: Record<'done' | 'child' | 'running' | 'retrying' | 'queued', string> = {
  done: '',
  child: '',
  running: '',
  retrying: '',
  queued: '',
};

beforeAll(async () => {
  server = await startApp({ env: { MUSTER_LEASE_SECONDS: '600', MUSTER_RETRY_DELAYS: '600' } });
  owner = new MusterClient({ url: server.url, token: server.admin.token });
  team = (await owner.whoAmI()).teamId;
  const definition = { ...worker.definition('1.0.0'), limits: { concurrency: 10 } };
  await owner.agents.register({ definition, publish: true });
  project = (await owner.projects.create({ name: 'Texts' })).id;
  await owner.projects.assign(project, { agent: 'worker', capabilities: ['text.count'] });
  const key = (await server.request('POST', '/api/keys', { name: 'worker' })) as unknown as { body: ApiKeyCreated };
  agentToken = key.body.secret;
  const hello = { agent: 'worker', capabilities: ['text.count'], capacity: 10 };
  ({ instanceId } = await asAgent<{ instanceId: string }>('/api/runtime/instances', hello));

  tasks.done = (await create()).id;
  const first = await claim();
  await act(first, 'cost', { key: 'call', usd: 0.5 });
  tasks.child = (await create({ parentId: tasks.done })).id;
  const child = await claim();
  await act(child, 'cost', { key: 'call', usd: 0.25 });
  await act(child, 'complete', { output: 1 });
  await act(first, 'complete', { output: 2 });
  tasks.retrying = (await create()).id;
  await act(await claim(), 'fail', { error: 'not yet' });
  tasks.running = (await create()).id;
  const given = await claim();
  await act(given, 'release', {});
  for (let again = given; again.fence === given.fence;) again = await claim();
  tasks.queued = (await create({ notBefore: '2999-01-01T00:00:00Z' })).id;
}, 120_000);
afterAll(() => server.close());

describe('the doctor', () => {
  it('finds nothing where tasks succeed, fail, are given back, run and wait', async () => {
    const report = await owner.doctor.invariants();
    expect(broken(report)).toEqual([]);
    expect(report.ok).toBe(true);
    expect(report.invariants.length).toBeGreaterThanOrEqual(10);
  });

  /** What a bug could leave behind; the constraints that would refuse it are taken away first. */
  const damage: readonly (readonly [string, string, (ids: typeof tasks) => string])[] = [
    [
      'runtime.unfinished_tasks_go_on',
      'a task that runs without anybody who works on it',
      ({ running }) => `delete from task_running where task_id = '${running}'`,
    ],
    [
      'runtime.unfinished_tasks_go_on',
      'a task that is delayed and never due',
      ({ queued }) => `delete from task_due where task_id = '${queued}'`,
    ],
    [
      'runtime.unfinished_tasks_go_on',
      'a lost lease that was told and never offered',
      ({ running }) => `update task_running set expiry_told = true where task_id = '${running}'`,
    ],
    [
      'runtime.unfinished_tasks_go_on',
      'a retry that is never due',
      ({ retrying }) => `delete from task_due where task_id = '${retrying}'`,
    ],
    [
      'runtime.unfinished_tasks_go_on',
      'a retry that was never scheduled',
      ({ retrying }) => `update tasks set next_action_at = null where id = '${retrying}'`,
    ],
    [
      'runtime.one_open_attempt',
      'an open attempt of a task that has ended',
      ({ running, done }) => `update task_running set task_id = '${done}' where task_id = '${running}'`,
    ],
    [
      'runtime.one_open_attempt',
      'a task that runs and is claimable beside that',
      ({ running }) =>
        `insert into task_ready (lane, seq, task_id, ready_at, attempts) select lane, 999999, task_id, now(), number from task_running where task_id = '${running}'`,
    ],
    [
      'runtime.fences_grow',
      'a later attempt with a lower fence',
      ({ running }) => `update task_running set fence = -fence where task_id = '${running}'`,
    ],
    [
      'runtime.fences_grow',
      'two attempts with one fence',
      ({ done, child }) =>
        `update attempts set fence = (select fence from attempts where task_id = '${done}') where task_id = '${child}'`,
    ],
    [
      'runtime.accepted_once',
      'a success that nobody was accepted for',
      ({ done }) => `update attempts set outcome = 'expired' where task_id = '${done}'`,
    ],
    [
      'runtime.accepted_once',
      'an accepted attempt of a task that did not end',
      ({ running }) =>
        `update attempts set outcome = 'completed' where task_id = '${running}' and outcome = 'released'`,
    ],
    [
      'runtime.events_tell_the_task',
      'a success that no event tells',
      ({ done }) => `update events set type = 'task.progress' where subject = '${done}' and type = 'task.succeeded'`,
    ],
    [
      'runtime.events_tell_the_task',
      'a task that was created twice',
      ({ queued, done }) =>
        `update events set subject = '${queued}' where subject = '${done}' and type = 'task.created'`,
    ],
    [
      'runtime.costs_roll_up',
      'a cost that did not reach the parent',
      ({ done }) => `update tasks set cost_usd = own_cost_usd where id = '${done}'`,
    ],
    [
      'runtime.costs_roll_up',
      'a cost that was counted twice',
      ({ child }) => `update tasks set own_cost_usd = own_cost_usd * 2 where id = '${child}'`,
    ],
    [
      'runtime.no_orphans',
      'a lease of an instance that does not exist',
      ({ running }) => `update task_running set instance_id = 'inst_gone' where task_id = '${running}'`,
    ],
    [
      'runtime.lists_tell_the_state',
      'a failed task that no list holds',
      ({ done }) => `update tasks set state = 'failed' where id = '${done}'`,
    ],
    [
      'runtime.blobs_are_kept',
      'a task that refers to what is not kept',
      ({ done }) =>
        `update tasks set input = '{"$ref":"blob:sha256:00","size":1,"mediaType":"application/json"}' where id = '${done}'`,
    ],
    [
      'runtime.archived_once',
      'a task that is archived and worked on',
      ({ running, done }) =>
        `select add_task_archive_partition('all', 'task_', 'task_~', now()); insert into task_archive select * from tasks where id in ('${running}', '${done}')`,
    ],
    [
      'database.rows_keep_their_rules',
      'a row that is against a rule which is not enforced',
      ({ done }) =>
        `alter table tasks drop constraint tasks_max_attempts_check, add constraint tasks_max_attempts_check check (max_attempts > 0) not enforced;
         update tasks set max_attempts = 0 where id = '${done}'`,
    ],
    ['events.positions_without_gap', 'a hole in the log', () => `delete from events where position = 3`],
    [
      'events.partitions_follow_each_other',
      'a partition that is not part of the log',
      () => `insert into event_partitions select 'events_x', max(last) + 1, max(last) + 9 from event_partitions`,
    ],
    [
      'events.partitions_follow_each_other',
      'positions for which there is no partition',
      () => `select add_event_partition(); update event_partitions set last = last - 1 where first = 1`,
    ],
  ];
  it.each(damage)('says %s of %s', async (name, _what, statement) => {
    const undo = new Error('undo');
    let found: InvariantReport | undefined;
    await server.database
      .transaction(async (tx) => {
        await tx.sql(`set local session_replication_role = replica`);
        await tx.sql(`alter table tasks drop constraint tasks_retry_is_scheduled`);
        await tx.sql(statement(tasks));
        found = await server.app.get(Invariants).checkIn(tx, team);
        throw undo;
      })
      .catch((error: unknown) => {
        if (error !== undo) throw error;
      });
    expect(found && broken(found)).toContain(name);
  });

  it('shows nobody what belongs to another team, and is closed to who only looks', async () => {
    const other = {
      name: 'Other',
      slug: 'other',
      owner: { email: 'owner@other.example', password: 'a password of theirs' },
    };
    await server.request('POST', '/api/teams', other);
    const stranger = new MusterClient({
      url: server.url,
      credentials: { email: other.owner.email, password: other.owner.password },
    });
    await server.database.sql(`update tasks set cost_usd = 77 where id = $1`, [tasks.child]);
    const mine = await owner.doctor.invariants();
    const theirs = await stranger.doctor.invariants();
    await server.database.sql(`update tasks set cost_usd = own_cost_usd where id = $1`, [tasks.child]);
    expect(broken(mine)).toEqual(['runtime.costs_roll_up']);
    expect(broken(theirs)).toEqual(['runtime.costs_roll_up']);
    expect(JSON.stringify(mine)).toContain(tasks.child);
    expect(JSON.stringify(theirs)).not.toContain(tasks.child);

    const viewer = await server.request('GET', '/api/doctor/invariants', undefined, { token: agentToken });
    expect(viewer.status).toBe(403);
  });
});

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { InstanceView, TaskAssignment, TaskDetail } from '@muster/contracts';
import { MusterClient } from '@muster/sdk';
import fc from 'fast-check';
import { startApp, type TestServer } from '#test/app';
import { LeaseSweep } from '../../libs/runtime/src/dispatch/sweep.ts';

/**
 * What a task and an instance may become, as models: small programs that know the contract and nothing of the tables. fast-check makes
 * up sequences of what agents, people, time and crashes do; after each step the real server must be where the model is.
 */

let server: TestServer;
let owner: MusterClient;
let projectId: string;
let token: string;
const capability = 'model.work';
const retryDelays = 3;

const rest = async <T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }> => {
  const { status, body: answer } = await server.request(method, path, body, { token });
  return { status, body: answer };
};
const sql = (text: string, params: readonly unknown[] = []) => server.database.sql(text, params);
const sweep = () => server.app.get(LeaseSweep).once();
async function hello(more: object = {}): Promise<string> {
  const body = { agent: 'worker', capabilities: [capability], capacity: 2, ...more };
  return (await rest<{ instanceId: string }>('POST', '/api/runtime/instances', body)).body.instanceId;
}
const claim = async (instanceId: string): Promise<TaskAssignment[]> => {
  await rest('POST', `/api/runtime/instances/${instanceId}/heartbeat`, { held: [] });
  const answer = await rest<{ tasks: TaskAssignment[] }>('POST', `/api/runtime/instances/${instanceId}/claim`, {
    count: 1,
  });
  return answer.body.tasks;
};

beforeAll(async () => {
  // Role api: time passes when a test says so.
  server = await startApp({
    env: { MUSTER_ROLE: 'api', MUSTER_LEASE_SECONDS: '600', MUSTER_RETRY_DELAYS: '1000,1000,1000' },
  });
  owner = new MusterClient({ url: server.url, token: server.admin.token });
  await owner.agents.register({
    definition: {
      metadata: { name: 'worker', version: '1.0.0' },
      skills: [{ name: capability }],
      limits: { concurrency: 10 },
      retry: { attempts: 20, backoff: [1000, 1000, 1000] },
    },
    publish: true,
  });
  projectId = (await owner.projects.create({ name: 'Models' })).id;
  await owner.projects.assign(projectId, { agent: 'worker', capabilities: [capability] });
  token = (await owner.keys.create({ name: 'worker' })).secret;
}, 120_000);
afterAll(() => server.close());

/** A task, as the contract has it. */
interface TaskModel {
  state: 'queued' | 'running' | 'retrying' | 'asking' | 'succeeded' | 'failed' | 'cancelled';
  failures: number;
  readonly maxAttempts: number;
  /** Its lease ran out; it may be claimed by others, and its holder may still finish. */
  expired: boolean;
  fence: number;
  holder: number;
  /** Instances that are not given it for now. */
  avoided: Set<number>;
  attempts: number;
  /** Attempts that failed or expired, by instance: whom "another instance" leaves out. */
  blamed: Set<number>;
}
interface TaskReal {
  taskId: string;
  /** Three instances with one key: nothing but the fence tells them apart. */
  readonly instances: readonly string[];
  /** Every fence that was ever handed out, newest last. */
  readonly fences: number[];
}
const over = (model: TaskModel): boolean => ['succeeded', 'failed', 'cancelled'].includes(model.state);
const shown: Record<TaskModel['state'], string> = {
  queued: 'queued',
  running: 'running',
  retrying: 'waiting',
  asking: 'waiting',
  succeeded: 'succeeded',
  failed: 'failed',
  cancelled: 'cancelled',
};

type Step = fc.AsyncCommand<TaskModel, TaskReal>;
/** Where the runs have been: a model that never gets anywhere proves nothing. */
const visited = new Set<string>();

/** Every step ends with a look: the server shows what the model says. */
abstract class TaskStep implements Step {
  abstract check(model: Readonly<TaskModel>): boolean;
  protected abstract act(model: TaskModel, real: TaskReal): Promise<void>;
  abstract toString(): string;

  async run(model: TaskModel, real: TaskReal): Promise<void> {
    await this.act(model, real);
    const task: TaskDetail = await owner.tasks.get(real.taskId);
    visited.add(model.expired ? 'expired' : model.state);
    if (model.attempts > 4) visited.add('tried by another instance');
    expect({ state: task.state, wait: task.wait?.reason ?? null, attempt: task.attempt }).toEqual({
      state: shown[model.state],
      wait: model.state === 'retrying' ? 'retry' : model.state === 'asking' ? 'person' : null,
      attempt: model.attempts,
    });
    const open = task.attempts.filter(({ outcome }) => outcome === null);
    expect(open.map(({ fence }) => fence)).toEqual(model.state === 'running' ? [model.fence] : []);
    expect(task.attempts.filter(({ outcome }) => outcome === 'completed')).toHaveLength(
      model.state === 'succeeded' ? 1 : 0,
    );
  }
}

const verb = (real: TaskReal, fence: number, name: string, body: unknown = {}) =>
  rest<{ code?: string; state?: string }>('POST', `/api/tasks/${real.taskId}/attempts/${fence}/${name}`, body);

function failed(model: TaskModel, by: number): void {
  model.failures += 1;
  model.blamed.add(by);
  if (model.failures >= model.maxAttempts) model.state = 'asking';
  else if (model.failures <= retryDelays) model.state = 'retrying';
  else {
    model.state = 'queued';
    model.avoided = new Set(model.blamed);
  }
}

class Claim extends TaskStep {
  constructor(readonly by: number) {
    super();
  }
  check(model: Readonly<TaskModel>): boolean {
    // Who just gave it back is asked to wait for a moment of real time: that is not for a model.
    return !model.avoided.has(this.by);
  }
  protected async act(model: TaskModel, real: TaskReal): Promise<void> {
    const tasks = await claim(real.instances[this.by]!);
    const free = model.state === 'queued';
    // With the last attempt spent there is nothing to take over; a person will be asked.
    const lost =
      model.state === 'running' && model.expired && model.holder !== this.by && model.failures + 1 < model.maxAttempts;
    expect(tasks.map(({ taskId }) => taskId)).toEqual(free || lost ? [real.taskId] : []);
    const [task] = tasks;
    if (task === undefined) return;
    expect(task.fence).toBeGreaterThan(real.fences.at(-1) ?? 0);
    if (lost) {
      model.failures += 1;
      model.blamed.add(model.holder);
    }
    real.fences.push(task.fence);
    Object.assign(model, { state: 'running', expired: false, fence: task.fence, holder: this.by, avoided: new Set() });
    model.attempts += 1;
    expect(task.attempt).toBe(model.attempts);
  }
  toString = () => `claim by ${this.by}`;
}

class Write extends TaskStep {
  constructor(
    readonly name: string,
    readonly body: unknown,
    readonly after: (model: TaskModel) => void,
    /** 0: under the newest fence; 1: under the one before it, and so on. */
    readonly back: number,
  ) {
    super();
  }
  check(model: Readonly<TaskModel>): boolean {
    // The same end again is answered as the first time; that is another promise, with a test of its own.
    return model.state === 'running' || this.back > 0;
  }
  protected async act(model: TaskModel, real: TaskReal): Promise<void> {
    const fence = real.fences.at(-1 - this.back);
    if (fence === undefined) return;
    const answer = await verb(real, fence, this.name, this.body);
    if (model.state === 'running' && this.back === 0) {
      expect({ name: this.name, status: answer.status }).toEqual({ name: this.name, status: 200 });
      this.after(model);
      return;
    }
    // An older end of the same kind is told again, and changes nothing; everything else is refused.
    const repeated = answer.status === 200 && ['complete', 'fail', 'release'].includes(this.name);
    if (!repeated) expect(answer).toMatchObject({ status: 409, body: { code: 'runtime.stale_lease' } });
  }
  toString = () => `${this.name} under the fence ${this.back} back`;
}

class LeaseRunsOut extends TaskStep {
  check = (model: Readonly<TaskModel>): boolean => model.state === 'running' && !model.expired;
  protected async act(model: TaskModel, real: TaskReal): Promise<void> {
    await sql(`update task_running set lease_until = muster_now() - interval '1 second' where task_id = $1`, [
      real.taskId,
    ]);
    await sweep();
    model.expired = true;
  }
  toString = () => 'the lease runs out';
}

class NobodyWantsIt extends TaskStep {
  check = (model: Readonly<TaskModel>): boolean => model.state === 'running' && model.expired;
  protected async act(model: TaskModel, real: TaskReal): Promise<void> {
    await sql(`update task_running set lease_until = muster_now() - interval '700 seconds' where task_id = $1`, [
      real.taskId,
    ]);
    await sql(`update task_due set at = muster_now() - interval '1 second' where task_id = $1 and kind = 'exhausted'`, [
      real.taskId,
    ]);
    await sweep();
    if (model.failures + 1 >= model.maxAttempts) {
      model.failures += 1;
      model.blamed.add(model.holder);
      model.state = 'asking';
      model.expired = false;
    }
  }
  toString = () => 'a further lease passes';
}

class RetryIsDue extends TaskStep {
  check = (model: Readonly<TaskModel>): boolean => model.state === 'retrying';
  protected async act(model: TaskModel, real: TaskReal): Promise<void> {
    await sql(`update tasks set next_action_at = muster_now() - interval '1 second' where id = $1`, [real.taskId]);
    await sql(`update task_due set at = muster_now() - interval '1 second' where task_id = $1 and kind = 'retry'`, [
      real.taskId,
    ]);
    await sweep();
    Object.assign(model, { state: 'queued', avoided: new Set() });
  }
  toString = () => 'the retry is due';
}

class PersonSaysAgain extends TaskStep {
  check = (model: Readonly<TaskModel>): boolean => model.state === 'asking';
  protected async act(model: TaskModel, real: TaskReal): Promise<void> {
    await owner.tasks.retry(real.taskId);
    Object.assign(model, { state: 'queued', failures: 0, avoided: new Set() });
  }
  toString = () => 'a person says: again';
}

class PersonCancels extends TaskStep {
  check = (model: Readonly<TaskModel>): boolean => !over(model);
  protected async act(model: TaskModel, real: TaskReal): Promise<void> {
    await owner.tasks.cancel(real.taskId, 'enough');
    model.state = 'cancelled';
  }
  toString = () => 'a person cancels';
}

const renewed = (model: TaskModel): void => void (model.expired = false);
const end = (state: TaskModel['state']) => (model: TaskModel) => void (model.state = state);
const fail = (back: number) => new Write('fail', { error: 'no' }, (model) => failed(model, model.holder), back);
const release = (back: number) =>
  new Write(
    'release',
    {},
    (model) => void Object.assign(model, { state: 'queued', avoided: new Set([model.holder]) }),
    back,
  );
/** What may happen; what is there more often happens more often. */
const steps: readonly TaskStep[] = [
  ...[0, 1, 2].map((by) => new Claim(by)),
  new Write('progress', { message: 'at work' }, renewed, 0),
  new Write('progress', { message: 'at work' }, renewed, 1),
  new Write('checkpoint', { state: 1 }, renewed, 0),
  new Write('checkpoint', { state: 1 }, renewed, 2),
  new Write('complete', { output: 1 }, end('succeeded'), 0),
  new Write('complete', { output: 2 }, end('succeeded'), 1),
  ...Array.from({ length: 7 }, () => fail(0)),
  fail(1),
  new Write('fail', { error: 'never', retryable: false }, end('failed'), 0),
  release(0),
  release(1),
  new LeaseRunsOut(),
  new LeaseRunsOut(),
  new NobodyWantsIt(),
  ...Array.from({ length: 6 }, () => new RetryIsDue()),
  ...Array.from({ length: 4 }, () => new PersonSaysAgain()),
  new PersonCancels(),
];

/** One of the steps that are possible where the model is: a sequence never dries up before the task is over. */
class Some implements Step {
  #chosen = '';
  constructor(readonly draw: number) {}
  check(model: Readonly<TaskModel>): boolean {
    return !over(model);
  }
  async run(model: TaskModel, real: TaskReal): Promise<void> {
    const possible = steps.filter((step) => step.check(model));
    const step = possible[this.draw % possible.length]!;
    this.#chosen = step.toString();
    await step.run(model, real);
  }
  toString = () => this.#chosen;
}

it('a task is always where its contract says', async () => {
  const commands = fc.commands([fc.nat({ max: 10_000 }).map((draw) => new Some(draw))], {
    maxCommands: 30,
    size: 'max',
  });
  const instances = await Promise.all([hello(), hello(), hello()]);
  await fc.assert(
    fc.asyncProperty(commands, fc.constantFrom(1, 2, 8, 8), async (some, maxAttempts) => {
      const { id } = await owner.tasks.create({ projectId, capability, maxAttempts });
      const setUp = () => ({
        model: {
          state: 'queued',
          failures: 0,
          maxAttempts,
          expired: false,
          fence: 0,
          holder: -1,
          avoided: new Set<number>(),
          attempts: 0,
          blamed: new Set<number>(),
        } satisfies TaskModel as TaskModel,
        real: { taskId: id, instances, fences: [] },
      });
      try {
        await fc.asyncModelRun(setUp, some);
      } finally {
        await owner.tasks.cancel(id, 'the run is over').catch(() => undefined);
      }
    }),
    { numRuns: 30, seed: 20_261, unbiased: true, endOnFailure: true },
  );
  expect([...visited].sort()).toEqual([...Object.keys(shown), 'expired', 'tried by another instance'].sort());
  expect((await owner.doctor.invariants()).invariants.filter(({ ok }) => !ok)).toEqual([]);
}, 600_000);

/** An instance with room for two tasks. */
interface InstanceModel {
  connected: boolean;
  held: number;
}
interface InstanceReal {
  instanceId: string;
  held: TaskAssignment[];
}
abstract class InstanceStep implements fc.AsyncCommand<InstanceModel, InstanceReal> {
  check(_model: Readonly<InstanceModel>): boolean {
    return true;
  }
  protected abstract act(model: InstanceModel, real: InstanceReal): Promise<void>;
  abstract toString(): string;
  async run(model: InstanceModel, real: InstanceReal): Promise<void> {
    await this.act(model, real);
    const { body } = await server.request('GET', '/api/instances?limit=200');
    const { items } = body as { items: InstanceView[] };
    const instance = items.find(({ id }) => id === real.instanceId);
    expect({ state: instance?.state, running: instance?.running }).toEqual({
      state: !model.connected ? 'offline' : model.held > 0 ? 'running' : 'idle',
      running: model.held,
    });
  }
}
class Take extends InstanceStep {
  protected async act(model: InstanceModel, real: InstanceReal): Promise<void> {
    const wanted = await owner.tasks.create({ projectId, capability });
    if (!model.connected) {
      await owner.tasks.cancel(wanted.id, 'nobody is there');
      return;
    }
    const tasks = await claim(real.instanceId);
    expect(tasks).toHaveLength(model.held < 2 ? 1 : 0);
    real.held.push(...tasks);
    model.held += tasks.length;
    if (tasks.length === 0) await owner.tasks.cancel(wanted.id, 'nobody has room');
  }
  toString = () => 'it asks for a task';
}
class Finish extends InstanceStep {
  override check = (model: Readonly<InstanceModel>): boolean => model.held > 0;
  protected async act(model: InstanceModel, real: InstanceReal): Promise<void> {
    const task = real.held.shift()!;
    const answer = await rest('POST', `/api/tasks/${task.taskId}/attempts/${task.fence}/complete`, {});
    expect(answer.status).toBe(200);
    model.held -= 1;
  }
  toString = () => 'it finishes one';
}
class Beat extends InstanceStep {
  override check = (model: Readonly<InstanceModel>): boolean => model.connected;
  protected async act(_model: InstanceModel, real: InstanceReal): Promise<void> {
    const held = real.held.map(({ taskId, fence }) => ({ taskId, fence }));
    const answer = await rest('POST', `/api/runtime/instances/${real.instanceId}/heartbeat`, { held });
    expect(answer).toMatchObject({ status: 200, body: { stale: [] } });
  }
  toString = () => 'it gives a sign of life';
}
class Silence extends InstanceStep {
  protected async act(model: InstanceModel, real: InstanceReal): Promise<void> {
    await sql(`update instances set last_seen_at = muster_now() - interval '2000 seconds' where id = $1`, [
      real.instanceId,
    ]);
    await sweep();
    model.connected = false;
  }
  toString = () => 'it is silent for long';
}
class Bye extends InstanceStep {
  override check = (model: Readonly<InstanceModel>): boolean => model.connected;
  protected async act(model: InstanceModel, real: InstanceReal): Promise<void> {
    const answer = await rest<{ released: number }>('POST', `/api/runtime/instances/${real.instanceId}/bye`, {});
    expect(answer).toMatchObject({ status: 200, body: { released: model.held } });
    // What it gives back is anybody's, and costs nothing.
    for (const { taskId } of real.held) await owner.tasks.cancel(taskId, 'given back');
    real.held = [];
    Object.assign(model, { connected: false, held: 0 });
  }
  toString = () => 'it says goodbye';
}
class Resume extends InstanceStep {
  protected async act(model: InstanceModel, real: InstanceReal): Promise<void> {
    expect(await hello({ resume: real.instanceId })).toBe(real.instanceId);
    model.connected = true;
  }
  toString = () => 'it comes back';
}

it('an instance is always what its connection and its leases say', async () => {
  const steps = fc.commands(
    [new Take(), new Take(), new Finish(), new Beat(), new Silence(), new Bye(), new Resume()].map((step) =>
      fc.constant(step),
    ),
    { maxCommands: 25, size: 'max' },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (commands) => {
      const instanceId = await hello();
      const real: InstanceReal = { instanceId, held: [] };
      try {
        await fc.asyncModelRun(() => ({ model: { connected: true, held: 0 }, real }), commands);
      } finally {
        for (const { taskId } of real.held) await owner.tasks.cancel(taskId, 'the run is over').catch(() => undefined);
      }
    }),
    { numRuns: 15, seed: 20_262, endOnFailure: true },
  );
}, 600_000);

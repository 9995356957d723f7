// One agent of the torture, on the SDK as anybody would write it, except that it does not believe that it was stopped: when
// its lease is lost it tries to write all the same. What it sees goes to a journal, line by line, before the next thing happens.
import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineAgent, runAgent, StaleLeaseError, type AgentTask, type JsonValue, type TaskContext } from '@muster/sdk';
import type { AgentOperation } from './history.ts';

const setting = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set; test/faults/torture.ts starts this program.`);
  return value;
};
const url = setting('MUSTER_URL');
const token = setting('MUSTER_TOKEN');
const life = setting('TORTURE_LIFE');
const journal = openSync(setting('TORTURE_JOURNAL'), 'a');
const costUsd = Number(setting('TORTURE_COST_USD'));
const note = (operation: Omit<AgentOperation, 'process' | 'atMs'>): void =>
  void writeSync(
    journal,
    `${JSON.stringify({ process: life, atMs: Number(process.hrtime.bigint() / 1000n) / 1000, ...operation })}\n`,
  );

async function rest(
  task: AgentTask,
  verb: string,
  body: unknown,
): Promise<{ type: 'ok' | 'fail' | 'info'; error?: string }> {
  try {
    const answer = await fetch(`${url}/api/tasks/${task.taskId}/attempts/${task.fence}/${verb}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5000),
    });
    if (answer.ok) return { type: 'ok' };
    const { code } = (await answer.json()) as { code?: string };
    return { type: answer.status < 500 ? 'fail' : 'info', ...(code === undefined ? {} : { error: code }) };
  } catch (error) {
    return { type: 'info', error: String(error) };
  }
}

/** Every write that a lost attempt could think of. */
async function writeLate(task: AgentTask): Promise<void> {
  const { taskId, fence } = task;
  const verbs: readonly (readonly [string, unknown])[] = [
    ['progress', { message: 'still here' }],
    ['log', { lines: ['still here'] }],
    ['cost', { key: `late-${fence}`, usd: 1000 }],
    ['checkpoint', { state: { late: fence } }],
    ['complete', { output: { fence, late: true } }],
    ['fail', { error: 'late' }],
  ];
  for (const [verb, body] of verbs) note({ f: 'late', verb, taskId, fence, ...(await rest(task, verb, body)) });
}

const stale = { f: 'complete', type: 'fail', error: 'runtime.stale_lease' } as const;

async function work(task: AgentTask, ctx: TaskContext): Promise<JsonValue> {
  const { taskId, fence, input, attempt } = task;
  note({ f: 'start', type: 'ok', taskId, fence });
  await sleep(Number(input['workMs'] ?? 0));
  if (input['talks'] === true) {
    await ctx.progress('half way', 0.5).catch(() => undefined);
    ctx.log(`fence ${fence}`);
    await ctx.checkpoint({ fence }).catch(() => undefined);
  }
  await ctx.cost({ key: 'work', usd: costUsd }).then(
    () => note({ f: 'cost', type: 'ok', taskId, fence }),
    () => note({ f: 'cost', type: 'info', taskId, fence }),
  );
  if (attempt === 1 && input['first'] === 'fail') {
    note({ f: 'fail', type: 'invoke', taskId, fence });
    throw new Error('not the first time');
  }
  if (attempt === 1 && input['first'] === 'release') {
    const answer = await rest(task, 'release', { reason: 'not now' });
    note({ f: 'release', taskId, fence, ...answer });
    // It is somebody else's from here on.
    if (answer.type === 'ok') await writeLate(task);
    throw new Error('released');
  }
  if (ctx.signal.aborted) {
    if (ctx.signal.reason instanceof StaleLeaseError) await writeLate(task);
    ctx.signal.throwIfAborted();
  }
  note({ f: 'complete', type: 'invoke', taskId, fence });
  return { fence };
}

const agent = defineAgent({
  name: setting('TORTURE_AGENT'),
  capacity: Number(setting('TORTURE_CAPACITY')),
  capabilities: { 'torture.work': work },
});
await runAgent(agent, {
  url,
  token,
  transport: process.env['TORTURE_TRANSPORT'] === 'http' ? 'http' : 'socket',
  instanceName: life,
  maxReconnectMs: 500,
  drainMs: 1000,
  onEvent: (event) => {
    if (event.type === 'connected') note({ f: 'connect', type: 'ok', instanceId: event.instanceId });
    if (event.type !== 'task_ended') return;
    const { taskId, fence, outcome, error } = event;
    if (outcome === 'completed') note({ f: 'complete', type: 'ok', taskId, fence });
    else if (outcome === 'stale_lease') note({ ...stale, taskId, fence });
    else if (outcome === 'failed')
      note({ f: 'fail', type: 'info', taskId, fence, ...(error === undefined ? {} : { error }) });
  },
});

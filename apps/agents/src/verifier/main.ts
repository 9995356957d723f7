import { detectSandbox } from '@muster/gate';
import { defineAgent, type JsonValue, type RunningAgent } from '@muster/sdk';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readSettings } from './settings.ts';
import { resolve } from './resolve.ts';
import { verify } from './verify.ts';

/** Two verifications at a time keep two cores busy: each waits for processes most of its time. */
const capacity = 2;

const settings = readSettings();
mkdirSync(settings.dir, { recursive: true });
// What an earlier process of ours left behind when it was killed.
rmSync(join(settings.dir, 'runs'), { recursive: true, force: true });

// The server that started us holds our standard input: when it ends, however that came about, there is nothing left to verify for.
// Heard from the beginning, so that an end during the proof of the sandbox puts away what the proof has laid out.
let connected: RunningAgent | null = null;
let stopping = false;
const stop = (reason: string): void => {
  if (stopping) process.exit(1);
  stopping = true;
  if (connected === null) process.exit(0);
  void connected.stop({ reason, drainMs: 0 }).finally(() => process.exit(0));
  setTimeout(() => process.exit(0), 10_000).unref();
};
process.on('SIGTERM', () => stop('SIGTERM'));
process.on('SIGINT', () => stop('SIGINT'));
process.stdin
  .on('end', () => stopping || stop('the server is gone'))
  .on('close', () => stopping || stop('the server is gone'))
  .resume();

const sandbox = await detectSandbox(settings.sandbox, [settings.dir], settings.sandboxes);
process.stdout.write(
  `verifier: sandbox ${sandbox.driver?.name ?? 'none'} (${sandbox.proven ? 'proven' : 'not proven'})\n`,
);
for (const note of sandbox.notes) process.stdout.write(`verifier: ${note}\n`);

const agent = defineAgent({
  name: 'muster-verifier',
  capacity,
  labels: { sandbox: sandbox.driver?.name ?? 'none' },
  capabilities: {
    'muster.verify': async (task, context) =>
      JSON.parse(JSON.stringify(await verify(task, context, settings, sandbox))) as JsonValue,
    'muster.resolve': async (task, context) => await resolve(task, context, settings, sandbox),
  },
});
connected = await agent.connect({
  url: settings.url,
  token: settings.token,
  instanceName: `verifier-${process.pid}`,
  onEvent: (event) => process.stdout.write(`verifier: ${JSON.stringify(event)}\n`),
});

await connected.ended;
process.exit(0);

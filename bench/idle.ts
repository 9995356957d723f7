import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { sleep, until } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { familySeconds, processSeconds, residentMib } from './machinery/processor-time.ts';
import { say, type Stage } from './machinery/stage.ts';

const program = fileURLToPath(new URL('./contenders/idle-agents.ts', import.meta.url));
/** Connections that one process of agents holds; it is the server that is measured, not they. */
const perProcess = 250;
/** Longer than several heartbeats, so that it does not matter where in their turn it begins. */
const watchedSeconds = { long: 60, short: 10 };

/** Instances that are connected, beat their heart and have nothing to do: what they cost the server. */
export async function idle(stage: Stage): Promise<Measure[]> {
  const { server, options } = stage;
  const seconds = options.short ? watchedSeconds.short : watchedSeconds.long;
  const lane = await server.lane('idle');
  const before = await watch(stage, seconds, 'without instances');

  const children = [];
  let connected = 0;
  for (let left = options.instances; left > 0; left -= perProcess) {
    const child = fork(
      program,
      [server.url, server.agentToken, lane.agent, lane.capability, String(Math.min(perProcess, left))],
      { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
    );
    child.on('message', () => void (connected += 1));
    children.push(child);
  }
  try {
    await until(`${options.instances} instances being connected`, 300, () => connected === options.instances);
    await sleep(5_000);
    const after = await watch(stage, seconds, `with ${options.instances} instances`);
    const line = (name: string, unit: string, ours: number): Measure =>
      measureOf({ name, unit, better: 'lower', ours: [ours] });
    return [
      line('idle_server_cpu', '% of a core', after.serverPercent),
      line('idle_server_cpu_added', '% of a core', Math.max(0, after.serverPercent - before.serverPercent)),
      line('idle_postgresql_cpu', '% of a core', after.postgresPercent),
      line('idle_memory_added', 'MiB for all', Math.max(0, after.mib - before.mib)),
    ];
  } finally {
    for (const child of children) if (child.connected) child.disconnect();
  }
}

async function watch(
  { server }: Stage,
  seconds: number,
  when: string,
): Promise<{ serverPercent: number; postgresPercent: number; mib: number }> {
  await server.settle();
  const [own, database] = [processSeconds(server.pid), familySeconds(server.postgres.pid)];
  await sleep(seconds * 1000);
  const seen = {
    serverPercent: ((processSeconds(server.pid) - own) / seconds) * 100,
    postgresPercent: ((familySeconds(server.postgres.pid) - database) / seconds) * 100,
    mib: residentMib(server.pid),
  };
  say(
    `  ${when}: server ${seen.serverPercent.toFixed(1)} % of a core, PostgreSQL ${seen.postgresPercent.toFixed(1)} %, ${seen.mib.toFixed(0)} MiB`,
  );
  return seen;
}

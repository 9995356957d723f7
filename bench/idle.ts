import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { sleep, until } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { heapMib } from './machinery/heap.ts';
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
      // Below nothing where the server has given back meanwhile what its start had left: the heap's floor is the surer sign.
      line('idle_memory_added', 'MiB for all', after.mib - before.mib),
      line('idle_heap_added', 'MiB for all', after.heap - before.heap),
      line('idle_memory', 'MiB', after.mib),
    ];
  } finally {
    for (const child of children) if (child.connected) child.disconnect();
  }
}

async function watch(
  { server }: Stage,
  seconds: number,
  when: string,
): Promise<{ serverPercent: number; postgresPercent: number; mib: number; heap: number }> {
  await server.settle();
  const [own, database] = [processSeconds(server.pid), familySeconds(server.postgres.pid)];
  // The lowest of several looks: in between the heap is full of what is dead already.
  const heaps: number[] = [];
  for (let look = 0; look < 10; look += 1) {
    await sleep(seconds * 100);
    heaps.push(await heapMib(server.url));
  }
  const seen = {
    serverPercent: ((processSeconds(server.pid) - own) / seconds) * 100,
    postgresPercent: ((familySeconds(server.postgres.pid) - database) / seconds) * 100,
    mib: residentMib(server.pid),
    heap: Math.min(...heaps),
  };
  say(
    `  ${when}: server ${seen.serverPercent.toFixed(1)} % of a core, PostgreSQL ${seen.postgresPercent.toFixed(1)} %, ${seen.mib.toFixed(0)} MiB, heap ${seen.heap.toFixed(0)} MiB`,
  );
  return seen;
}

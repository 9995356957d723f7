// One process of a contender: `node process.ts <contender> producer|consumer`, told what to do over the channel of its parent.
import { nowUs, sleep } from '../machinery/clock.ts';
import type { Consumer, Parts, Payload, Plan, Producer } from './parts.ts';
import type { Answer, Order, Progress } from './orders.ts';

const loaders: Record<string, () => Promise<{ parts: Parts }>> = {
  muster: () => import('./muster.parts.ts'),
  'graphile-worker': () => import('./graphile-worker.parts.ts'),
  'pg-boss': () => import('./pg-boss.parts.ts'),
  bullmq: () => import('./bullmq.parts.ts'),
  sql: () => import('./sql.parts.ts'),
};

const load = loaders[process.argv[2] ?? ''];
if (load === undefined) throw new Error(`There is no contender ${process.argv[2]}.`);
const { parts } = await load();

let producer: Producer | null = null;
let consumer: Consumer | null = null;
let number = 0;
const payload = (): Payload => ({ n: (number += 1), at: nowUs() });
const payloads = (count: number): Payload[] => Array.from({ length: count }, payload);

/** Lets so many loops work until each finds nothing more to do. */
const loops = async (count: number, work: () => Promise<boolean>): Promise<void> => {
  const loop = async (): Promise<void> => {
    while (await work());
  };
  await Promise.all(Array.from({ length: count }, loop));
};

const opened = (): Producer => {
  if (producer === null) throw new Error('The producer is not open.');
  return producer;
};

/** Through by now, over all consumers, as the parent counts it. */
let acceptedElsewhere = 0;
let wakeFlow: () => void = () => {};

async function fill(count: number, batch: number, callers: number): Promise<void> {
  let left = count;
  await loops(callers, async () => {
    if (left <= 0) return false;
    const size = Math.min(batch, left);
    left -= size;
    await opened().many(payloads(size));
    return true;
  });
}

/** One task for each call, for so long; how many were answered. */
async function ones(seconds: number, callers: number): Promise<{ count: number; seconds: number }> {
  const start = nowUs();
  const end = start + seconds * 1e6;
  let count = 0;
  await loops(callers, async () => {
    if (nowUs() >= end) return false;
    await opened().one(payload());
    count += 1;
    return true;
  });
  return { count, seconds: (nowUs() - start) / 1e6 };
}

async function bulk(seconds: number, batch: number, callers: number): Promise<{ count: number; seconds: number }> {
  const start = nowUs();
  const end = start + seconds * 1e6;
  let count = 0;
  await loops(callers, async () => {
    if (nowUs() >= end) return false;
    await opened().many(payloads(batch));
    count += batch;
    return true;
  });
  return { count, seconds: (nowUs() - start) / 1e6 };
}

/** So many a second, whether earlier ones were answered or not; how long each took to be answered, in milliseconds. */
async function pace(rate: number, seconds: number): Promise<{ sent: number; answeredMs: number[] }> {
  const start = nowUs();
  const total = Math.round(rate * seconds);
  const answeredMs: number[] = [];
  const failures: Error[] = [];
  for (let sent = 0; sent < total && failures.length === 0;) {
    const due = Math.min(total, Math.floor(((nowUs() - start) / 1e6) * rate) + 1);
    for (; sent < due; sent += 1) {
      const one = payload();
      opened()
        .one(one)
        .then(
          () => void answeredMs.push((nowUs() - one.at) / 1000),
          (error: unknown) => void failures.push(error instanceof Error ? error : new Error(String(error))),
        );
    }
    await sleep(1);
  }
  while (answeredMs.length < total && failures.length === 0) await sleep(5);
  if (failures[0] !== undefined) throw failures[0];
  return { sent: total, answeredMs };
}

/** Stores as fast as it can while no more than `window` are neither done nor refused. */
async function flow(count: number, batch: number, callers: number, window: number): Promise<void> {
  let created = 0;
  acceptedElsewhere = 0;
  await loops(callers, async () => {
    if (created >= count) return false;
    const size = Math.min(batch, count - created);
    if (created + size - acceptedElsewhere > window) {
      await new Promise<void>((resolve) => {
        const before = wakeFlow;
        wakeFlow = () => (before(), resolve());
      });
      return true;
    }
    created += size;
    await opened().many(payloads(size));
    return true;
  });
}

const counted = {
  accepted: 0,
  started: 0,
  firstStartedUs: 0,
  lastAcceptedUs: 0,
  latenciesMs: [] as number[],
  startsUs: [] as number[],
};
let reporting: NodeJS.Timeout | undefined;
let told = -1;
const report = (): void => {
  if (counted.accepted === told) return;
  told = counted.accepted;
  const progress: Progress = {
    kind: 'progress',
    accepted: counted.accepted,
    atUs: counted.lastAcceptedUs,
    firstStartedUs: counted.firstStartedUs,
  };
  process.send?.(progress);
};

async function startConsumer(plan: Plan): Promise<void> {
  Object.assign(counted, {
    accepted: 0,
    started: 0,
    firstStartedUs: 0,
    lastAcceptedUs: 0,
    latenciesMs: [],
    startsUs: [],
  });
  told = -1;
  consumer = await parts.consumer(plan);
  await consumer.start({
    started: (one) => {
      const now = nowUs();
      if (counted.started === 0) counted.firstStartedUs = now;
      counted.started += 1;
      if (plan.tuning === 'latency') {
        counted.latenciesMs.push((now - one.at) / 1000);
        counted.startsUs.push(now);
      }
    },
    accepted: (count) => {
      counted.accepted += count;
      counted.lastAcceptedUs = nowUs();
    },
  });
  reporting = setInterval(report, 5);
}

async function carryOut(order: Order): Promise<unknown> {
  switch (order.verb) {
    case 'open':
      await producer?.close();
      producer = await parts.producer(order.plan);
      return null;
    case 'close':
      await producer?.close();
      producer = null;
      return null;
    case 'fill':
      return fill(order.count, order.batch, order.callers);
    case 'ones':
      return ones(order.seconds, order.callers);
    case 'bulk':
      return bulk(order.seconds, order.batch, order.callers);
    case 'pace':
      return pace(order.rate, order.seconds);
    case 'flow':
      return flow(order.count, order.batch, order.callers, order.window);
    case 'start':
      return startConsumer(order.plan);
    case 'settled':
      await consumer?.settled();
      return nowUs();
    case 'stop':
      clearInterval(reporting);
      await consumer?.stop();
      consumer = null;
      return { accepted: counted.accepted, latenciesMs: counted.latenciesMs, startsUs: counted.startsUs };
  }
}

process.on('message', (message: Order | { kind: 'accepted'; count: number }) => {
  if ('kind' in message) {
    acceptedElsewhere = message.count;
    const wake = wakeFlow;
    wakeFlow = () => {};
    wake();
    return;
  }
  carryOut(message).then(
    (result) => process.send?.({ kind: 'answer', id: message.id, result: result ?? null } satisfies Answer),
    (error: unknown) =>
      process.send?.({
        kind: 'answer',
        id: message.id,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      } satisfies Answer),
  );
});
// The parent is gone: nobody is measured any more.
process.on('disconnect', () => process.exit(0));
process.send?.({ kind: 'ready' });

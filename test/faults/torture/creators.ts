import { setTimeout as sleep } from 'node:timers/promises';
import type { Creation } from './history.ts';
import { Random } from './random.ts';

export interface Creators {
  readonly history: Creation[];
  /** Resolves when all were asked for, or the time is up. */
  readonly done: Promise<void>;
}

/** How often the same key is tried before its creation stays unanswered; when the time is up nothing is tried again. */
const tries = 12;

/** What a task asks of its agent: mostly little, sometimes long enough that a fault finds it at work. */
function inputFor(key: string, random: Random, leaseMs: number): Record<string, unknown> {
  const kind = random.next();
  if (kind < 0.84) return { key, workMs: random.below(20) };
  if (kind < 0.93) return { key, workMs: 100 + random.below(400), talks: true };
  if (kind < 0.96) return { key, workMs: Math.round(leaseMs * random.between(0.3, 0.6)), talks: true };
  return { key, workMs: random.below(20), first: kind < 0.98 ? 'fail' : 'release' };
}

/**
 * Clients outside of the victims, each asking for one task after another under a key of its own. An answer is ok; a refusal is a
 * failure; everything else is info, after which most try again under the same key and some walk away for good.
 */
export function startCreators(q: {
  url: string;
  token: string;
  projectId: string;
  tasks: number;
  withinMs: number;
  atOnce: number;
  leaseMs: number;
  seed: number;
}): Creators {
  const history: Creation[] = [];
  const startedAt = performance.now();
  let next = 0;

  async function one(number: number, random: Random): Promise<void> {
    const key = `key-${q.seed}-${number}`;
    const body = JSON.stringify({
      projectId: q.projectId,
      capability: 'torture.work',
      input: inputFor(key, random, q.leaseMs),
      priority: (['critical', 'high', 'normal', 'normal', 'low'] as const)[random.below(5)],
      // Attempts are what the faults cost here; a person is not to be asked.
      maxAttempts: 20,
    });
    history.push({ f: 'create', type: 'invoke', key });
    for (let attempt = 1; ; attempt += 1) {
      const answer = await ask(key, body);
      if (answer.type !== 'info') {
        history.push(answer);
        return;
      }
      if (attempt >= tries || performance.now() - startedAt > q.withinMs || random.next() < 0.1) {
        history.push(answer);
        return;
      }
      await sleep(50 * attempt);
    }
  }

  async function ask(key: string, body: string): Promise<Creation> {
    try {
      const answer = await fetch(`${q.url}/api/tasks`, {
        method: 'POST',
        headers: { authorization: `Bearer ${q.token}`, 'content-type': 'application/json', 'idempotency-key': key },
        body,
        signal: AbortSignal.timeout(10_000),
      });
      const document = (await answer.json()) as { id?: string; code?: string };
      if (answer.ok && document.id !== undefined) return { f: 'create', type: 'ok', key, taskId: document.id };
      // Ours, on its way: its first try died with its server.
      const unsure = answer.status >= 500 || answer.status === 429 || document.code === 'request.in_progress';
      return { f: 'create', type: unsure ? 'info' : 'fail', key, error: `${answer.status} ${document.code ?? ''}` };
    } catch (error) {
      return { f: 'create', type: 'info', key, error: String(error) };
    }
  }

  const client = async (place: number): Promise<void> => {
    const random = new Random(q.seed * 1009 + place);
    for (;;) {
      const passed = performance.now() - startedAt;
      if (next >= q.tasks || passed >= q.withinMs) return;
      // At an even pace: work is to arrive all through the faults.
      const due = (next / q.tasks) * q.withinMs;
      if (due > passed) {
        await sleep(Math.min(100, due - passed));
        continue;
      }
      next += 1;
      await one(next, random);
    }
  };
  return {
    history,
    done: Promise.all(Array.from({ length: q.atOnce }, (_, place) => client(place))).then(() => undefined),
  };
}

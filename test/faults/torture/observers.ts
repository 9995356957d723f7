import { setTimeout as sleep } from 'node:timers/promises';
import { MusterClient } from '@muster/sdk';
import type { CloudEvent, TaskView } from '@muster/contracts';
import type { FinalTask, LoggedEvent } from './history.ts';

const loggedOf = (event: CloudEvent): LoggedEvent => {
  const fence = event.data['fence'];
  return {
    position: event.position,
    id: event.id,
    type: event.type,
    subject: event.subject,
    atMs: Date.parse(event.time),
    fence: typeof fence === 'number' ? fence : null,
  };
};

/** Follows the stream from the start on, through a door that cuts it off, and remembers what it was given, in that order. */
export function follow(
  url: string,
  token: string,
): { readonly ids: string[]; upTo(count: number, patienceMs: number): Promise<void>; stop(): Promise<void> } {
  const stopped = new AbortController();
  const ids: string[] = [];
  const run = async (): Promise<void> => {
    const client = new MusterClient({ url, token });
    for (let last = 0; !stopped.signal.aborted;) {
      try {
        for await (const event of client.events.subscribe({ after: last, signal: stopped.signal })) {
          ids.push(event.id);
          last = event.position;
        }
      } catch {
        await sleep(200);
      }
    }
  };
  const done = run();
  return {
    ids,
    upTo: async (count, patienceMs) => {
      for (const end = Date.now() + patienceMs; ids.length < count && Date.now() < end;) await sleep(50);
    },
    stop: async () => {
      stopped.abort();
      await done;
    },
  };
}

/**
 * The whole log again, from cursor 0, without disturbance.
 * @param upTo where it ended when this began: where something goes on and on, so does the log
 */
export async function readLog(url: string, token: string, patienceMs: number, upTo: number): Promise<LoggedEvent[]> {
  const client = new MusterClient({ url, token });
  const stop = new AbortController();
  const events: LoggedEvent[] = [];
  // Quiet for this long: that was all.
  let quiet = setTimeout(() => stop.abort(), patienceMs);
  for await (const event of client.events.subscribe({ after: 0, signal: stop.signal })) {
    if (event.position > upTo) break;
    events.push(loggedOf(event));
    if (event.position === upTo) break;
    clearTimeout(quiet);
    quiet = setTimeout(() => stop.abort(), 3000);
  }
  clearTimeout(quiet);
  return events;
}

/** Null: it is not known. */
export async function isAnyOpen(url: string, token: string): Promise<boolean | null> {
  try {
    const answer = await fetch(`${url}/api/tasks?state=queued,running,waiting&limit=1`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(5000),
    });
    if (!answer.ok) return null;
    return ((await answer.json()) as { items: unknown[] }).items.length > 0;
  } catch {
    return null;
  }
}

/** Every task as REST shows it; with its attempts where there was more than one, and of a sample of the others. */
export async function readTasks(url: string, token: string): Promise<FinalTask[]> {
  const client = new MusterClient({ url, token });
  const views: TaskView[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await client.tasks.list({ limit: 200, cursor });
    views.push(...page.items);
    if (page.nextCursor === null) break;
    cursor = page.nextCursor;
  }
  const tasks: FinalTask[] = new Array<FinalTask>(views.length);
  let next = 0;
  const reader = async (): Promise<void> => {
    for (let place = next++; place < views.length; place = next++) {
      const view = views[place];
      if (view === undefined) continue;
      const attempts =
        view.attempt > 1 || place % 20 === 0
          ? (await client.tasks.get(view.id)).attempts
              .map(({ fence, outcome, number }) => ({ fence, outcome, number }))
              .sort((left, right) => left.number - right.number)
          : null;
      const output: unknown = view.output;
      const fence = typeof output === 'object' && output !== null && 'fence' in output ? output.fence : null;
      const key = view.input['key'];
      tasks[place] = {
        id: view.id,
        key: typeof key === 'string' ? key : null,
        state: view.state,
        acceptedFence: typeof fence === 'number' ? fence : null,
        costUsd: view.costUsd,
        attempts,
      };
    }
  };
  await Promise.all(Array.from({ length: 8 }, reader));
  return tasks;
}

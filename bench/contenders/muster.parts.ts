import { defineAgent, type RunningAgent } from '@muster/sdk';
import { KeptConnections } from './kept-connections.ts';
import type { ConsumerEvents, Parts, Payload, Plan } from './parts.ts';

const needed = (plan: Plan, name: 'producerToken' | 'agentToken' | 'projectId' | 'agent' | 'capability'): string => {
  const value = plan[name];
  if (value === undefined) throw new Error(`The plan for Muster lacks ${name}.`);
  return value;
};

/** The product as an outsider meets it: tasks by REST over kept connections, and an agent on the published SDK over its socket. */
export const parts: Parts = {
  async producer(plan) {
    const connections = new KeptConnections(plan.url, plan.callers);
    const headers = {
      authorization: `Bearer ${needed(plan, 'producerToken')}`,
      'content-type': 'application/json',
    };
    const wish = { projectId: needed(plan, 'projectId'), capability: needed(plan, 'capability') };
    const post = async (path: string, body: unknown): Promise<unknown> => {
      const answer = await connections.post(path, headers, JSON.stringify(body));
      if (answer.status >= 300) throw new Error(`${path} answered ${answer.status}: ${answer.body}`);
      return JSON.parse(answer.body) as unknown;
    };
    return {
      one: async (payload) => void (await post('/api/tasks', { ...wish, input: payload })),
      async many(payloads) {
        const tasks = payloads.map((input) => ({ input }));
        const { items } = (await post('/api/tasks/bulk', { ...wish, tasks })) as { items: { created: boolean }[] };
        // A task that was refused was not created: it must not count as one.
        const refused = items.find((item) => !item.created);
        if (refused !== undefined) throw new Error(`/api/tasks/bulk refused a task: ${JSON.stringify(refused)}`);
      },
      close: () => Promise.resolve(connections.close()),
    };
  },

  async consumer(plan) {
    let agent: RunningAgent | null = null;
    return {
      async start(events: ConsumerEvents) {
        agent = await defineAgent({
          name: needed(plan, 'agent'),
          capacity: plan.capacity ?? 1000,
          capabilities: {
            [needed(plan, 'capability')]: (task) => events.started(task.input as unknown as Payload),
          },
        }).connect({
          url: plan.url,
          token: needed(plan, 'agentToken'),
          onEvent: (event) => {
            if (event.type !== 'task_ended') return;
            if (event.outcome !== 'completed') {
              // Nothing here may fail: the whole measure is void then.
              process.stderr.write(`muster: a task ended as ${event.outcome}: ${event.error ?? ''}\n`);
              process.exit(1);
            }
            events.accepted(1);
          },
        });
      },
      settled: () => Promise.resolve(),
      async stop() {
        await agent?.stop({ drainMs: 5_000 });
      },
    };
  },
};

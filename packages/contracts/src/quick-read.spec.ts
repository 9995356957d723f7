import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { agentMessage, serverMessage } from './protocol.ts';
import { readQuickly, readServerQuickly, readTaskQuickly, readTasksQuickly } from './quick-read.ts';
import { createTask, createTasks } from './tasks.ts';

const digits = '0123456789abcdefghjkmnpqrstvwxyz';
const typeId = (prefix: string) =>
  fc
    .tuple(fc.constantFrom(...'01234567'), fc.array(fc.constantFrom(...digits), { minLength: 25, maxLength: 25 }))
    .map(([first, rest]) => `${prefix}_${first}${rest.join('')}`);
const odd = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(-1, 1.5, 1e300, '', 'task_x', true, {}, [], '2026-02-30T00:00:00.000Z'),
);
/** Mostly right, sometimes not, sometimes missing. */
const mostly = <T>(right: fc.Arbitrary<T>) => fc.oneof({ weight: 12, arbitrary: right }, { weight: 1, arbitrary: odd });
const seldom = <T>(one: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: one });
const message = (fields: Record<string, fc.Arbitrary<unknown>>) =>
  fc
    .tuple(
      fc.record(fields),
      seldom(fc.constantFrom(...Object.keys(fields))),
      seldom(fc.tuple(fc.constantFrom('extra', '__proto__', 'input'), odd)),
    )
    .map(([given, without, more]) => {
      const some: [string, unknown][] = Object.entries(given).filter(([name]) => name !== without);
      if (more !== null) some.push(more);
      // Through JSON, as it comes off a socket; text, so that __proto__ is a name like any other.
      return JSON.parse(
        `{${some.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value) ?? 'null'}`).join(',')}}`,
      ) as unknown;
    });
/** Any JSON, some of it in more arrays and objects than are read quickly. */
const nested = fc
  .tuple(fc.jsonValue(), fc.array(fc.option(fc.constantFrom('a', '', '__proto__', 'constructor')), { maxLength: 12 }))
  .map(([value, around]) =>
    around.reduce<string>(
      (text, name) => (name === null ? `[${text}]` : `{${JSON.stringify(name)}:${text}}`),
      JSON.stringify(value),
    ),
  )
  .map((text) => JSON.parse(text) as unknown);

const agentMessages = fc.oneof(
  message({
    type: fc.constant('complete'),
    seq: mostly(fc.nat()),
    taskId: mostly(typeId('task')),
    fence: mostly(fc.maxSafeInteger()),
    output: nested,
  }),
  message({ type: fc.constant('credit'), seq: mostly(fc.nat()), count: mostly(fc.nat(1000)) }),
);
const project = { id: `proj_0${'0'.repeat(25)}`, slug: 'p', branch: 'main', head: null, gitPath: '/git/p.git' };
const serverMessages = fc.oneof(
  message({ type: fc.constant('ok'), re: mostly(fc.nat()), result: nested }),
  message({
    type: fc.constant('task'),
    task: message({
      taskId: mostly(typeId('task')),
      attemptId: mostly(typeId('att')),
      attempt: mostly(fc.integer({ min: 1, max: 9 })),
      fence: mostly(fc.nat()),
      leaseUntil: mostly(
        fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }).map((date) => date.toISOString()),
      ),
      capability: mostly(fc.constantFrom('code.change', 'a', 'a-b_c.d')),
      title: mostly(fc.option(fc.string())),
      input: mostly(fc.dictionary(fc.string(), nested)),
      project: mostly(fc.constant(project)),
      lessons: mostly(fc.constant([])),
      checkpoint: mostly(fc.constant(null)),
      rework: mostly(fc.constant(null)),
    }),
  }),
);

const wish = {
  input: mostly(fc.dictionary(fc.string(), nested)),
  title: mostly(fc.string({ minLength: 1, maxLength: 310 })),
  priority: mostly(fc.constantFrom('critical', 'high', 'normal', 'low')),
  maxAttempts: mostly(fc.integer({ min: 0, max: 21 })),
};
const address = {
  projectId: mostly(typeId('proj')),
  capability: mostly(fc.constantFrom('code.change', 'a', 'a-b_c.d')),
};
const someOf = (fields: Record<string, fc.Arbitrary<unknown>>) =>
  fc
    .subarray(Object.keys(fields), { minLength: 1 })
    .chain((names) => message(Object.fromEntries(names.map((n) => [n, fields[n]!]))));
const bodies = fc.oneof(message({ ...address, ...wish }), message(address), message({ ...address, labels: odd }));
const bulkBodies = message({
  ...address,
  tasks: mostly(fc.array(someOf({ ...wish, idempotencyKey: mostly(fc.string({ maxLength: 210 })) }), { maxLength: 3 })),
});

describe('reading without the schema', () => {
  it('accepts of an agent only what the schema accepts, as the same', () => {
    let quick = 0;
    fc.assert(
      fc.property(agentMessages, (raw) => {
        const read = readQuickly(raw);
        if (read === null) return;
        quick += 1;
        const parsed = agentMessage.safeParse(raw);
        expect(parsed.success).toBe(true);
        expect(read).toEqual(parsed.data);
      }),
      { numRuns: 3000 },
    );
    expect(quick).toBeGreaterThan(500);
  });

  it('accepts of the server only what the schema accepts, as the same', () => {
    let quick = 0;
    const known = JSON.stringify(project);
    fc.assert(
      fc.property(serverMessages, (raw) => {
        const read = readServerQuickly(raw, (one) => JSON.stringify(one) === known);
        if (read === null) return;
        quick += 1;
        const parsed = serverMessage.safeParse(raw);
        expect(parsed.success).toBe(true);
        expect(read).toEqual(parsed.data);
      }),
      { numRuns: 3000 },
    );
    expect(quick).toBeGreaterThan(300);
  });

  it('accepts of bodies that create tasks only what the schemas accept, as the same', () => {
    for (const [schema, read, raws] of [
      [createTask, readTaskQuickly, bodies],
      [createTasks, readTasksQuickly, bulkBodies],
    ] as const) {
      let quick = 0;
      fc.assert(
        fc.property(raws, (raw) => {
          const one = read(raw);
          if (one === null) return;
          quick += 1;
          const parsed = schema.safeParse(raw);
          expect(parsed.success).toBe(true);
          expect(one).toEqual(parsed.data);
        }),
        { numRuns: 3000 },
      );
      expect(quick).toBeGreaterThan(150);
    }
  });
});

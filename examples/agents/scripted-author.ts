// An author that follows a script instead of a model: `--role honest`, `--role leaks-a-secret` … Muster's demo runs one
// process for each role; what a role does stands in roles.ts. It prints what happens to it as JSON lines.
import { parseArgs } from 'node:util';
import { defineAgent, PermanentError, runAgent, StaleLeaseError, type AgentEvent, type TaskHandler } from '@muster/sdk';
import { Desk, roles, type RoleName } from './roles.ts';

const { values } = parseArgs({
  options: {
    role: { type: 'string', default: 'honest' },
    /** The published definition that this process is an instance of. */
    name: { type: 'string' },
    capability: { type: 'string', default: 'code.change' },
    transport: { type: 'string', default: 'socket' },
  },
});
if (!(values.role in roles)) {
  console.error(`There is no role ${values.role}. Roles: ${Object.keys(roles).join(', ')}.`);
  process.exit(64);
}
const roleName = values.role as RoleName;
const write = (event: AgentEvent | { type: 'told'; code: string; taskId: string; fence: number }): void =>
  void process.stdout.write(`${JSON.stringify(event)}\n`);

const change: TaskHandler = async (task, ctx) => {
  if (task.rework?.reason === 'rejected')
    throw new PermanentError(`I have nothing better than what was refused: ${task.rework.summary}`);
  await ctx.progress('checking out', 0.1);
  const checkout = await ctx.workspace();
  // Asked to start from a commit of the past, as somebody who began earlier did.
  const from = task.rework === null && typeof task.input['base'] === 'string' ? task.input['base'] : checkout.base;
  if (from !== checkout.base) await checkout.git(['checkout', '--quiet', '--detach', from]);
  const work = await roles[roleName](new Desk(task, ctx, checkout));
  await checkout.git(['add', '--all']);
  const patch = await checkout.git([
    'diff',
    '--cached',
    '--binary',
    '--full-index',
    '--no-color',
    '--no-renames',
    from,
  ]);
  await ctx.progress('handing in', 0.95);
  try {
    await ctx.submit({ patch, base: from, ...work });
  } catch (error) {
    if (error instanceof StaleLeaseError)
      write({ type: 'told', code: error.code, taskId: task.taskId, fence: task.fence });
    throw error;
  }
};

await runAgent(
  defineAgent({ name: values.name ?? `demo-${roleName}`, capabilities: { [values.capability]: change } }),
  { transport: values.transport === 'http' ? 'http' : 'socket', maxReconnectMs: 2_000, drainMs: 2_000, onEvent: write },
);

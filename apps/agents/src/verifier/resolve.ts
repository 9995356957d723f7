import { resolveInput, type ResolveAnswer } from '@muster/contracts';
import { mergeLock, type Sandbox } from '@muster/gate';
import { PermanentError, type AgentTask, type TaskContext } from '@muster/sdk';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from './settings.ts';

/** One `muster.resolve` task: a file that both sides of a merge changed, made anew by the tool that made it, where one answer follows from them. */
export async function resolve(
  task: AgentTask,
  context: TaskContext,
  settings: Settings,
  sandbox: Sandbox,
): Promise<ResolveAnswer> {
  const parsed = resolveInput.safeParse(task.input);
  if (!parsed.success)
    throw new PermanentError(`the input of ${task.taskId} is not that of a resolution: ${parsed.error.message}`);
  if (sandbox.driver === null)
    return { resolved: false, why: `there is no sandbox here: ${sandbox.notes.join('; ').slice(0, 1000)}` };
  const workDir = join(settings.dir, 'runs');
  await mkdir(workDir, { recursive: true });
  const { driver } = sandbox;
  return await mergeLock(parsed.data, { driver, workDir, registry: settings.npmRegistry, signal: context.signal });
}

import { resolveInput, type GeneratedConflict, type ResolveAnswer } from '@muster/contracts';
import { mergeLock, rebuildGenerated, type Sandbox } from '@muster/gate';
import { PermanentError, type AgentTask, type TaskContext } from '@muster/sdk';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fetchTree } from './fetch-tree.ts';
import type { Settings } from './settings.ts';

type Driver = NonNullable<Sandbox['driver']>;

/** One `muster.resolve` task: files that both sides of a merge changed, made anew by the tool that made them, where one answer follows from them. */
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
  const { data: input } = parsed;
  return input.how === 'generated'
    ? await rebuild(input, context, settings, driver, workDir)
    : await mergeLock(input, { driver, workDir, registry: settings.npmRegistry, signal: context.signal });
}

async function rebuild(
  input: GeneratedConflict,
  context: TaskContext,
  settings: Settings,
  driver: Driver,
  workDir: string,
): Promise<ResolveAnswer> {
  const folder = await mkdtemp(join(workDir, 'resolve-'));
  try {
    const { submissionId, on, trees } = input;
    const at = async (side: keyof typeof trees): Promise<string> => {
      const path = `/api/submissions/${submissionId}/merges/${on}/trees/${trees[side]}`;
      await fetchTree(settings, path, join(folder, side), context.signal);
      return join(folder, side);
    };
    const folders = { merged: await at('merged'), ours: await at('ours'), theirs: await at('theirs') };
    return await rebuildGenerated(input, folders, {
      driver,
      workDir,
      cacheDir: join(settings.dir, 'cache'),
      registry: settings.npmRegistry,
      npmCache: settings.npmCache,
      pythonWheels: settings.pythonWheels,
      signal: context.signal,
      onLog: (line) => context.log(line),
    });
  } finally {
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

import { verifyInput, type FirstLook, type VerificationFacts } from '@muster/contracts';
import { runVerification, type Sandbox } from '@muster/gate';
import { PermanentError, type AgentTask, type TaskContext } from '@muster/sdk';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fetchTree } from './fetch-tree.ts';
import type { Settings } from './settings.ts';
import { Teller } from './teller.ts';

/** A report at most this often: a renewal of the lease needs no more, and a suite of tests has much to say. */
const progressEveryMs = 500;

/** A first look that cannot be delivered is not worth a verification: the verdict comes all the same. */
const tellFirstLook = (settings: Settings, verificationId: string, look: FirstLook, signal: AbortSignal): void =>
  void fetch(`${settings.url}/api/verifications/${verificationId}/first-look`, {
    method: 'POST',
    headers: { authorization: `Bearer ${settings.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(look),
    redirect: 'error',
    signal,
  }).then(
    (answer) => answer.body?.cancel(),
    () => undefined,
  );

/** One `muster.verify` task: fetch the trees, establish the facts, answer them. The server draws the conclusions. */
export async function verify(
  task: AgentTask,
  context: TaskContext,
  settings: Settings,
  sandbox: Sandbox,
): Promise<VerificationFacts> {
  const parsed = verifyInput.safeParse(task.input);
  if (!parsed.success)
    throw new PermanentError(`the input of ${task.taskId} is not that of a verification: ${parsed.error.message}`);
  const input = parsed.data;
  await mkdir(join(settings.dir, 'runs'), { recursive: true });
  const folder = await mkdtemp(join(settings.dir, 'runs', 'run-'));
  let told = 0;
  const onProgress = (ratio: number, message: string): void => {
    if (performance.now() - told < progressEveryMs && ratio < 1) return;
    told = performance.now();
    // Progress that cannot be delivered is not worth a verification; a lost lease arrives through the signal.
    void context.progress(message, ratio).catch(() => undefined);
  };
  const teller = new Teller(
    settings,
    { verificationId: input.verificationId, fence: task.fence },
    join(folder, 'logs'),
    context.signal,
  );
  try {
    const trees = [
      ...new Set([input.candidateTree, input.baseTree, input.restoresTree].filter((tree) => tree !== null)),
    ];
    for (const tree of trees) {
      const path = `/api/verifications/${input.verificationId}/trees/${tree}`;
      await fetchTree(settings, path, join(folder, tree), context.signal);
    }
    const at = (tree: string | null): string | null => (tree === null ? null : join(folder, tree));
    const facts = await runVerification({
      candidateDir: join(folder, input.candidateTree),
      baseDir: at(input.baseTree),
      restoresDir: at(input.restoresTree),
      input,
      workDir: join(folder, 'work'),
      cacheDir: join(settings.dir, 'cache'),
      sandbox,
      npmRegistry: settings.npmRegistry,
      npmCache: settings.npmCache,
      pythonWheels: settings.pythonWheels,
      signal: context.signal,
      onProgress,
      onLog: (line) => context.log(line),
      onFirstLook: (look) => tellFirstLook(settings, input.verificationId, look, context.signal),
      onCheckLog: (check, text) => teller.printed(check, text),
      onCheck: (check) => teller.checkEnded(check),
      onArtefact: (check, artefact) => teller.left(check, artefact),
    });
    return facts;
  } finally {
    await teller.close();
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

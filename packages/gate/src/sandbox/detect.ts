import { bwrapDriver } from './bwrap.ts';
import { directDriver } from './direct.ts';
import type { SandboxDriver } from './driver.ts';
import { proveSandbox } from './proof.ts';
import { unshareDriver } from './unshare.ts';

export const sandboxChoices = ['auto', 'bwrap', 'unshare', 'none-i-accept-the-risk'] as const;
export type SandboxChoice = (typeof sandboxChoices)[number];

/** `driver` is null where nothing withstood the proof: then nothing of a submission is executed, and the checks say so. */
export interface Sandbox {
  driver: SandboxDriver | null;
  proven: boolean;
  notes: string[];
}

const inOrder: readonly SandboxDriver[] = [bwrapDriver, unshareDriver];

/** Proves the drivers from the strongest down and answers the first that withstands; a driver that does not is never used. */
export async function detectSandbox(
  choice: SandboxChoice = 'auto',
  baitFolders: readonly string[] = [],
): Promise<Sandbox> {
  if (choice === 'none-i-accept-the-risk') {
    return {
      driver: directDriver,
      proven: false,
      notes: ['submitted code runs without a sandbox, as the operator asked by name'],
    };
  }
  const notes: string[] = [];
  for (const driver of inOrder) {
    if (choice !== 'auto' && choice !== driver.name) continue;
    const { proven, notes: seen } = await proveSandbox(driver, baitFolders);
    notes.push(...seen.map((note) => `${driver.name}: ${note}`));
    if (proven) return { driver, proven, notes };
  }
  notes.push(
    'no sandbox withstood the proof, so submitted code is not run; allow user namespaces for this user, run as root, or install bubblewrap',
  );
  return { driver: null, proven: false, notes };
}

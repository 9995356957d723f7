import { bwrapDriver } from './bwrap.ts';
import { detectCgroups, type Cgroups } from './cgroup.ts';
import { commandDriver } from './command.ts';
import { directDriver } from './direct.ts';
import type { SandboxDriver } from './driver.ts';
import { kubernetesDriver, type KubernetesSettings } from './kubernetes.ts';
import { proveSandbox } from './proof.ts';
import { proveWatching } from './watch-proof.ts';
import { unshareDriver } from './unshare.ts';

export const sandboxChoices = ['auto', 'bwrap', 'unshare', 'command', 'kubernetes', 'none-i-accept-the-risk'] as const;
export type SandboxChoice = (typeof sandboxChoices)[number];

/** `driver` is null where nothing withstood the proof: then nothing of a submission is executed, and the checks say so. */
export interface Sandbox {
  driver: SandboxDriver | null;
  proven: boolean;
  notes: string[];
  /** It was seen to tell everything that a run reads; else a run counts as having read everything. */
  tellsReads?: boolean;
}

const inOrder: readonly SandboxDriver[] = [bwrapDriver, unshareDriver];

/** Drivers that only an operator can name. They are used when they are chosen, never by themselves. */
export interface NamedDrivers {
  /** A program with its arguments. */
  command?: readonly string[] | undefined;
  kubernetes?: KubernetesSettings | undefined;
}

function driversFor(choice: SandboxChoice, { command, kubernetes }: NamedDrivers): readonly SandboxDriver[] {
  if (choice === 'command') return command === undefined ? [] : [commandDriver(command)];
  if (choice === 'kubernetes') return kubernetes === undefined ? [] : [kubernetesDriver(kubernetes)];
  return inOrder.filter(({ name }) => choice === 'auto' || choice === name);
}

const within = (groups: Cgroups, driver: SandboxDriver): SandboxDriver => ({
  ...driver,
  run: (run) => driver.run({ ...run, groups }),
});

/** Proves the drivers from the strongest down and answers the first that withstands; a driver that does not is never used. */
export async function detectSandbox(
  choice: SandboxChoice = 'auto',
  baitFolders: readonly string[] = [],
  named: NamedDrivers = {},
): Promise<Sandbox> {
  if (choice === 'none-i-accept-the-risk') {
    return {
      driver: directDriver,
      proven: false,
      notes: ['submitted code runs without a sandbox, as the operator asked by name'],
    };
  }
  const notes: string[] = [];
  const drivers = driversFor(choice, named);
  if (drivers.length === 0)
    return {
      driver: null,
      proven: false,
      notes: [`the sandbox ${choice} was chosen, and nothing says how it is reached`],
    };
  // The kubelet does it for pods.
  const groups = choice === 'kubernetes' ? null : await detectCgroups();
  if (typeof groups === 'string')
    notes.push(
      `the kernel does not hold runs as a whole to their memory, processes and CPU, so memory is looked at four times a second: ${groups}`,
    );
  for (const plain of drivers) {
    const driver = groups === null || typeof groups === 'string' ? plain : within(groups, plain);
    const { proven, notes: seen } = await proveSandbox(driver, baitFolders);
    notes.push(...seen.map((note) => `${driver.name}: ${note}`));
    if (proven) return { driver, proven, notes, tellsReads: await proveWatching(driver) };
  }
  notes.push(
    'no sandbox withstood the proof, so submitted code is not run; allow user namespaces for this user, run as root, or install bubblewrap',
  );
  return { driver: null, proven: false, notes };
}

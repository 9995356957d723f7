import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { kubernetesSettings, sandboxChoices, type NamedDrivers } from '@muster/gate';

const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    context.addIssue('must be JSON');
    return z.NEVER;
  }
});
const settings = z.object({
  MUSTER_URL: z.url(),
  MUSTER_TOKEN: z.string().min(1),
  MUSTER_VERIFIER_DIR: z
    .string()
    .min(1)
    .default(join(homedir(), '.cache', 'muster-verifier')),
  MUSTER_SANDBOX: z.enum(sandboxChoices).default('auto'),
  /** The operator's own walls, for `command`: a program with its arguments, as a JSON array. */
  MUSTER_SANDBOX_COMMAND: json.pipe(z.array(z.string().min(1)).min(1)).optional(),
  /** For `kubernetes`: how runs become pods, as JSON. */
  MUSTER_SANDBOX_KUBERNETES: json.pipe(kubernetesSettings).optional(),
  MUSTER_NPM_CACHE: z.string().startsWith('/').nullable().default(null),
  MUSTER_PYTHON_WHEELS: z.string().startsWith('/').nullable().default(null),
  MUSTER_NPM_REGISTRY: z
    .union([z.url(), z.literal('').transform(() => null)])
    .nullable()
    .default(null),
});

export interface Settings {
  url: string;
  token: string;
  dir: string;
  sandbox: (typeof sandboxChoices)[number];
  sandboxes: NamedDrivers;
  npmRegistry: string | null;
  npmCache: string | null;
  pythonWheels: string | null;
}

/** The one place where this program reads its environment. The token is taken out of it, so that nothing started later inherits it. */
export function readSettings(): Settings {
  const parsed = settings.safeParse(process.env);
  if (!parsed.success) {
    process.stderr.write(`verifier: ${z.prettifyError(parsed.error)}\n`);
    process.exit(78);
  }
  delete process.env['MUSTER_TOKEN'];
  return {
    url: parsed.data.MUSTER_URL.replace(/\/$/, ''),
    token: parsed.data.MUSTER_TOKEN,
    dir: parsed.data.MUSTER_VERIFIER_DIR,
    sandbox: parsed.data.MUSTER_SANDBOX,
    sandboxes: { command: parsed.data.MUSTER_SANDBOX_COMMAND, kubernetes: parsed.data.MUSTER_SANDBOX_KUBERNETES },
    npmRegistry: parsed.data.MUSTER_NPM_REGISTRY,
    npmCache: parsed.data.MUSTER_NPM_CACHE,
    pythonWheels: parsed.data.MUSTER_PYTHON_WHEELS,
  };
}

import { readFileSync } from 'node:fs';
import { forgeKinds } from '@muster/contracts';
import { parse } from 'yaml';
import { z } from 'zod';

const account = z
  .strictObject({
    kind: z.enum(forgeKinds),
    /** Of the REST API; the operator's own forge may be on a private address. */
    api: z
      .url({ protocol: /^https?$/ })
      .transform((url) => url.replace(/\/+$/, ''))
      .optional(),
    token: z.string().min(1).max(4096).optional(),
    tokenFile: z.string().min(1).max(4096).optional(),
    /** Which repositories it may be used for, like `owner/*`. */
    repositories: z.array(z.string().min(1).max(300)).min(1),
    /** Which teams may use it; without this line every team. */
    teams: z.array(z.string()).min(1).optional(),
  })
  .refine(
    ({ token, tokenFile }) => (token === undefined) !== (tokenFile === undefined),
    'needs a token or a tokenFile',
  );
const document = z.strictObject({ accounts: z.record(z.string().min(1).max(100), account) });

export interface ForgeAccount {
  readonly name: string;
  readonly kind: (typeof forgeKinds)[number];
  readonly api: string;
  readonly token: string;
  readonly repositories: readonly string[];
  readonly teams: readonly string[] | null;
}
const publicApi = { github: 'https://api.github.com', gitlab: 'https://gitlab.com/api/v4' } as const;

/** What the operator's file says, or what is wrong with it in one sentence that holds nothing of it. */
export function readForgeAccounts(path: string): ForgeAccount[] | string {
  let read: unknown;
  try {
    read = parse(readFileSync(path, 'utf8'), { maxAliasCount: 20, logLevel: 'error' }) as unknown;
  } catch (error) {
    const { syscall, code } = error as NodeJS.ErrnoException;
    return `${path} cannot be read${syscall === undefined ? ' as YAML' : `: ${code}`}`;
  }
  const parsed = document.safeParse(read ?? {});
  if (!parsed.success)
    return `${path}: ${parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the document'}: ${issue.message}`).join('; ')}`;
  try {
    return Object.entries(parsed.data.accounts).map(([name, { kind, api, token, tokenFile, repositories, teams }]) => ({
      name,
      kind,
      api: api ?? publicApi[kind],
      token: token ?? readFileSync(tokenFile ?? '', 'utf8').trim(),
      repositories,
      teams: teams ?? null,
    }));
  } catch (error) {
    return `${path}: a tokenFile cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}`;
  }
}

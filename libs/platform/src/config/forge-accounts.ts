import { createPrivateKey } from 'node:crypto';
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
    /** A GitHub App instead of a token: its id, its private key, and where it is installed, if not asked for each repository. */
    app: z
      .strictObject({
        id: z.union([z.int().positive(), z.string().regex(/^[\w.-]{1,100}$/)]),
        keyFile: z.string().min(1).max(4096),
        installation: z.int().positive().optional(),
      })
      .optional(),
    /** Which repositories it may be used for, like `owner/*`. */
    repositories: z.array(z.string().min(1).max(300)).min(1),
    /** Which teams may use it; without this line every team. */
    teams: z.array(z.string()).min(1).optional(),
  })
  .refine(
    ({ token, tokenFile, app }) => [token, tokenFile, app].filter((one) => one !== undefined).length === 1,
    'needs a token, a tokenFile or an app',
  )
  .refine(({ kind, app }) => app === undefined || kind === 'github', 'an app is there for github only');
const document = z.strictObject({ accounts: z.record(z.string().min(1).max(100), account) });

export interface ForgeApp {
  readonly id: string;
  /** PEM. */
  readonly key: string;
  readonly installation: number | null;
}
export interface ForgeAccount {
  readonly name: string;
  readonly kind: (typeof forgeKinds)[number];
  readonly api: string;
  /** Null: it is an app, which makes tokens for itself. */
  readonly token: string | null;
  readonly app: ForgeApp | null;
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
  const accounts: ForgeAccount[] = [];
  for (const [name, { kind, api, token, tokenFile, app, repositories, teams }] of Object.entries(
    parsed.data.accounts,
  )) {
    let secret: string;
    try {
      secret = token ?? readFileSync(tokenFile ?? app?.keyFile ?? '', 'utf8').trim();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return `${path}: accounts.${name}: a ${app === undefined ? 'tokenFile' : 'keyFile'} cannot be read: ${code ?? 'unknown'}`;
    }
    if (app !== undefined && !isRsaKey(secret))
      return `${path}: accounts.${name}.app.keyFile: is no RSA private key in PEM, as GitHub makes them`;
    accounts.push({
      name,
      kind,
      api: api ?? publicApi[kind],
      token: app === undefined ? secret : null,
      app: app === undefined ? null : { id: String(app.id), key: secret, installation: app.installation ?? null },
      repositories,
      teams: teams ?? null,
    });
  }
  return accounts;
}

function isRsaKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa';
  } catch {
    return false;
  }
}

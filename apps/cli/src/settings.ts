import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { MusterClient } from '@muster/sdk';
import { z } from 'zod';

const kept = z.object({ url: z.string(), accessToken: z.string().optional(), refreshToken: z.string().optional() });
export type KeptSession = z.infer<typeof kept>;

/** Options that every command takes, before or after its name. */
export interface Globals {
  readonly json: boolean;
  readonly url?: string;
  readonly token?: string;
}

/** A mistake of whoever typed the command: printed without a stack, exit code 64. */
export class UsageError extends Error {}

const file = (): string => join(process.env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'muster', 'session.json');

export const keepSession = async (session: KeptSession): Promise<void> => {
  await mkdir(dirname(file()), { recursive: true, mode: 0o700 });
  await writeFile(file(), `${JSON.stringify(session, null, 2)}\n`, { mode: 0o600 });
};
export const forgetSession = (): Promise<void> => rm(file(), { force: true });

const readSession = async (): Promise<KeptSession | null> => {
  const text = await readFile(file(), 'utf8').catch(() => null);
  if (text === null) return null;
  const session = kept.safeParse(JSON.parse(text));
  return session.success ? session.data : null;
};

/** The session that `muster login` kept, if it is one at this server. */
export const keptSession = async (url: string): Promise<KeptSession | null> => {
  const session = await readSession();
  return session?.url === url ? session : null;
};

export interface Connection {
  readonly url: string;
  readonly token: string;
}

export const serverUrl = (given?: string): string =>
  (given ?? process.env['MUSTER_URL'] ?? 'http://localhost:3000').replace(/\/+$/, '');

/** Where and as whom: options, then MUSTER_URL and MUSTER_TOKEN, then the session that `muster login` kept. */
export async function connection(options: { url?: string; token?: string }): Promise<Connection> {
  const session = await readSession();
  const url = (options.url ?? process.env['MUSTER_URL'] ?? session?.url ?? 'http://localhost:3000').replace(/\/+$/, '');
  const token = options.token ?? process.env['MUSTER_TOKEN'];
  if (token) return { url, token };
  if (session?.accessToken === undefined || session.url !== url)
    throw new UsageError(`Not logged in at ${url}. Run muster login, or set MUSTER_TOKEN to an API key.`);
  return { url, token: session.accessToken };
}

/** A client that renews the kept session when it has run out. */
export async function connect(options: { url?: string; token?: string }): Promise<MusterClient> {
  const { url, token } = await connection(options);
  const session = await readSession();
  const own = session?.url === url && session.accessToken === token ? session : null;
  return new MusterClient({
    url,
    token,
    retryForMs: 5_000,
    ...(own?.refreshToken === undefined
      ? {}
      : {
          refreshToken: own.refreshToken,
          onSession: (tokens: { accessToken: string; refreshToken: string }) => keepSession({ url, ...tokens }),
        }),
  });
}

/** The environment for the command of `muster agent exec`: everything but what would let it act as the agent. */
export const environmentFor = (extra: Readonly<Record<string, string>>): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined && !['MUSTER_TOKEN', 'MUSTER_URL'].includes(entry[0]),
    ),
  ),
  ...extra,
});
export const passwordFromEnvironment = (): string | undefined => process.env['MUSTER_PASSWORD'];

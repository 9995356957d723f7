import { randomBytes } from 'node:crypto';
import { isAbsolute, resolve } from 'node:path';
import { gatePolicy, type GatePolicy } from '@muster/contracts';
import { z } from 'zod';
import { type ForgeAccount, readForgeAccounts } from './forge-accounts.ts';
import { readGatePolicy } from './gate-policy.ts';

const port = z.coerce.number().int().min(0).max(65_535);
const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const list = (separator: string) =>
  z.string().transform((text) =>
    text
      .split(separator)
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  );
const flag = z.enum(['true', 'false', '1', '0']).transform((text) => text === 'true' || text === '1');
const httpUrl = z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, ''));

/** Every setting of the server: its variable, its meaning, its default. Nothing else reads the environment. */
const variables = {
  MUSTER_ROLE: z.enum(['all', 'api', 'worker', 'git']).default('all').describe('what this process does'),
  MUSTER_HOST: z.string().min(1).default('127.0.0.1').describe('address to listen on'),
  MUSTER_PORT: port.default(3000).describe('port to listen on; 0 takes a free one'),
  MUSTER_PUBLIC_URL: httpUrl.optional().describe('how clients reach the server; default http://localhost:<port>'),
  MUSTER_DATA_DIR: z.string().min(1).default('.muster').describe('repositories, blobs and the built-in PostgreSQL'),
  MUSTER_SHARED_DIR: z
    .string()
    .refine((path) => isAbsolute(path), 'must be an absolute path')
    .optional()
    .describe('repositories, blobs and the key of webhooks, when several servers share them; default MUSTER_DATA_DIR'),
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .optional()
    .describe('a PostgreSQL 15 or newer; without it one is started in the data folder'),
  REDIS_URL: z
    .url({ protocol: /^rediss?$/ })
    .optional()
    .describe('carries hints between replicas; nothing is kept there'),
  MUSTER_DATABASE_POOL: count(2, 500).default(20).describe('connections that this process may open'),
  MUSTER_LEASE_SECONDS: z.coerce
    .number()
    .min(1)
    .max(3600)
    .default(30)
    .describe('how long a silent agent keeps its task'),
  MUSTER_IMPORT_PATHS: list(':')
    .refine((paths) => paths.every((path) => isAbsolute(path)), 'must be absolute folders, separated by colons')
    .default([])
    .describe('folders from which projects may be imported'),
  MUSTER_IMPORT_HOSTS: list(',')
    .default(['*'])
    .describe('hosts from which git URLs may be imported; * means any public one'),
  MUSTER_REMOTE_TIMEOUT_SECONDS: count(1, 3600)
    .default(600)
    .describe('how long a remote may take to send or to take what is new'),
  MUSTER_REMOTE_CREDENTIALS: z
    .string()
    .refine((path) => isAbsolute(path), 'must be an absolute path')
    .optional()
    .describe('a file in the form of git’s credential store, for remotes over https'),
  MUSTER_REMOTE_CA: z
    .string()
    .refine((path) => isAbsolute(path), 'must be an absolute path')
    .optional()
    .describe('the certificates that vouch for remotes over https, instead of the system’s'),
  MUSTER_REMOTE_SSH_KEY: z
    .string()
    .refine((path) => isAbsolute(path), 'must be an absolute path')
    .optional()
    .describe('the private key for remotes over ssh'),
  MUSTER_REMOTE_KNOWN_HOSTS: z
    .string()
    .refine((path) => /^\/[\w./-]+$/.test(path), 'must be an absolute path without blanks')
    .optional()
    .describe('the host keys that remotes over ssh must have'),
  MUSTER_FORGES: z
    .string()
    .max(4096)
    .transform((path, context): ForgeAccount[] => {
      const read = readForgeAccounts(path);
      if (typeof read !== 'string') return read;
      context.addIssue(read);
      return z.NEVER;
    })
    .optional()
    .describe('a YAML file with the accounts by which projects live on GitHub and GitLab, and their tokens or apps'),
  MUSTER_BODY_LIMIT_BYTES: count(1024, 1024 * 1024 * 1024)
    .default(25 * 1024 * 1024)
    .describe('largest request body'),
  MUSTER_MIN_THRESHOLD: count(0, 100).default(50).describe('lowest score that a project may ask for'),
  MUSTER_MAX_TIMEOUT_SECONDS: count(5, 86_400)
    .default(3600)
    .describe('longest verification that a project may ask for'),
  MUSTER_ADMIN_EMAIL: z
    .email()
    .or(z.literal('admin@localhost'))
    .default('admin@localhost')
    .describe('the first administrator'),
  MUSTER_ADMIN_PASSWORD: z
    .string()
    .min(8)
    .max(1000)
    .optional()
    .describe('their password; default: a printed one-time password'),
  MUSTER_VERIFIERS: count(0, 64).default(1).describe('verifier processes that role all starts'),
  MUSTER_SANDBOX: z
    .enum(['auto', 'bwrap', 'unshare', 'command', 'kubernetes', 'none-i-accept-the-risk'])
    .default('auto')
    .describe('what submitted code runs in'),
  MUSTER_SANDBOX_COMMAND: z
    .string()
    .max(8192)
    .optional()
    .describe('for the sandbox command: a program with its arguments that does one run, as a JSON array'),
  MUSTER_SANDBOX_KUBERNETES: z
    .string()
    .max(8192)
    .optional()
    .describe('for the sandbox kubernetes: how runs become pods, as JSON'),
  MUSTER_GATE_POLICY: z
    .string()
    .max(4096)
    .transform((path, context): GatePolicy => {
      const read = readGatePolicy(path);
      if (typeof read !== 'string') return read;
      context.addIssue(read);
      return z.NEVER;
    })
    .optional()
    .describe('a YAML file with what the gate asks of every project: extra checks, required ones, advisories'),
  MUSTER_SUPERVISED: list(':')
    .refine(
      (programs) => programs.every((program) => program === '*' || isAbsolute(program)),
      'must be absolute paths of programs or folders, separated by colons, or *',
    )
    .default([])
    .describe('programs, and folders of programs, that agents may be started with on this machine; * allows any'),
  MUSTER_NPM_REGISTRY: httpUrl.optional().describe('where dependencies of verified projects come from'),
  MUSTER_NPM_CACHE: z
    .string()
    .max(4096)
    .startsWith('/', 'must be an absolute path')
    .optional()
    .describe('an npm cache that they come from instead, and no registry is asked'),
  MUSTER_PYTHON_WHEELS: z
    .string()
    .max(4096)
    .startsWith('/', 'must be an absolute path')
    .optional()
    .describe('a folder of wheels, from which comes what projects pin by hash for Python'),
  MUSTER_REWORK_LIMIT: count(0, 100).default(3).describe('how often refused work goes back before its task fails'),
  MUSTER_RETRY_DELAYS: list(',')
    .pipe(z.array(z.coerce.number<string>().min(0).max(86_400)).min(1))
    .default([5, 15, 30])
    .describe('seconds before a reported failure is tried again'),
  MUSTER_EVENTS_RETENTION: z
    .string()
    .regex(/^(\d{1,6}[smhd]|forever)$/, 'must be a number with its unit, like 12h or 90d, or forever')
    .default('90d')
    .describe('how long events are kept at least; forever keeps them'),
  MUSTER_TASKS_ARCHIVE_AFTER: z
    .string()
    .regex(/^(\d{1,6}[smhd]|never)$/, 'must be a number with its unit, like 12h or 7d, or never')
    .default('7d')
    .describe('how long after its end a task stays in the tables that work goes through; then it is in the archive'),
  MUSTER_TASKS_RETENTION: z
    .string()
    .regex(/^(\d{1,6}[smhd]|forever)$/, 'must be a number with its unit, like 12h or 90d, or forever')
    .default('forever')
    .describe('how long finished tasks are kept at least; they leave by the month of their creation'),
  MUSTER_BLOBS_RETENTION: z
    .string()
    .regex(/^(\d{1,6}[smhd]|forever)$/, 'must be a number with its unit, like 12h or 90d, or forever')
    .default('7d')
    .describe(
      'how long a large input or output that no task refers to is kept after it was last asked for; forever keeps them',
    ),
  MUSTER_VERIFICATION_LOGS_RETENTION: z
    .string()
    .regex(/^(\d{1,6}[smhd]|forever)$/, 'must be a number with its unit, like 12h or 90d, or forever')
    .default('90d')
    .describe('how long logs and artefacts of a verification are kept after its end; forever keeps them'),
  MUSTER_REPOSITORIES_UPKEEP: z
    .string()
    .regex(/^(\d{1,6}[smhd]|never)$/, 'must be a number with its unit, like 30m or 6h, or never')
    .default('1h')
    .describe('how often each repository is looked at and, when it has gathered enough, packed'),
  MUSTER_LANDING_WINDOW: count(1, 100)
    .default(20)
    .describe('most accepted changes of one branch that are verified on top of one another at once'),
  MUSTER_LANDING_STRATEGIES: list(',')
    .pipe(z.array(z.enum(['squash', 'merge', 'rebase'])).min(1))
    .default(['squash', 'merge', 'rebase'])
    .describe('how projects may let changes land; where one asks for another, the first'),
  MUSTER_LANDING_PROTECTED_BRANCHES: list(',')
    .default([])
    .describe('globs of branches into which nothing lands before a person has released it'),
  MUSTER_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('least weighty log line'),
  MUSTER_LOG_PRETTY: flag.optional().describe('log for people; default: only on a terminal'),
  MUSTER_DRAIN_SECONDS: z.coerce
    .number()
    .min(0)
    .max(3600)
    .default(20)
    .describe('how long a stop waits for work in flight'),
};
const separatedByColons: ReadonlySet<string> = new Set(['MUSTER_IMPORT_PATHS', 'MUSTER_SUPERVISED']);
const secrets: ReadonlySet<string> = new Set(['MUSTER_ADMIN_PASSWORD']);
/** Read by the programs around the server (CLI, agents, tests), not by the server; known so that they are not refused. */
const foreign: ReadonlySet<string> = new Set(['MUSTER_URL', 'MUSTER_TOKEN', 'MUSTER_PASSWORD', 'MUSTER_VERIFIER_DIR']);

const schema = z.object(variables);
type Values = z.output<typeof schema>;

/** Names every wrong variable in one message. The server exits with 78 (EX_CONFIG) on it. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(`The configuration is wrong:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

/** The effective settings of this process; checked, typed, with defaults filled in. */
export class Config {
  readonly role: Values['MUSTER_ROLE'];
  readonly host: string;
  readonly port: number;
  /** Without a trailing slash. With port 0 it is known once the server listens. */
  publicUrl: string;
  /** Absolute. This server's alone. */
  readonly dataDir: string;
  /** Absolute. What all servers of an installation have in common; the data folder, where there is one server. */
  readonly sharedDir: string;
  /** Null: a PostgreSQL of our own in the data folder. */
  readonly databaseUrl: string | null;
  readonly redisUrl: string | null;
  readonly databasePool: number;
  readonly leaseSeconds: number;
  readonly importPaths: readonly string[];
  readonly importHosts: readonly string[];
  readonly remoteTimeoutMs: number;
  readonly remoteCredentials: string | null;
  readonly remoteCa: string | null;
  readonly remoteSshKey: string | null;
  readonly remoteKnownHosts: string | null;
  /** With their tokens: never to be shown. */
  readonly forges: readonly ForgeAccount[];
  readonly bodyLimitBytes: number;
  readonly minThreshold: number;
  readonly maxTimeoutSeconds: number;
  readonly adminEmail: string;
  readonly adminPassword: string | null;
  readonly verifiers: number;
  readonly logLevel: Values['MUSTER_LOG_LEVEL'];
  readonly logPretty: boolean;
  readonly sandbox: Values['MUSTER_SANDBOX'];
  readonly sandboxCommand: string | null;
  readonly sandboxKubernetes: string | null;
  readonly supervised: readonly string[];
  readonly npmRegistry: string | null;
  readonly npmCache: string | null;
  readonly pythonWheels: string | null;
  readonly gatePolicy: GatePolicy;
  readonly reworkLimit: number;
  readonly retryDelaysSeconds: readonly number[];
  /** Null: never. */
  readonly repositoriesUpkeepMs: number | null;
  readonly landingWindow: number;
  readonly landingStrategies: Values['MUSTER_LANDING_STRATEGIES'];
  readonly landingProtectedBranches: readonly string[];
  readonly drainSeconds: number;
  /** Null: for ever. */
  readonly eventsRetentionMs: number | null;
  /** Null: never. */
  readonly tasksArchiveAfterMs: number | null;
  /** Null: for ever. */
  readonly tasksRetentionMs: number | null;
  /** Null: for ever. */
  readonly blobsRetentionMs: number | null;
  readonly verificationLogsRetentionMs: number | null;
  /** Traces are sent only when an OTLP endpoint is configured with OpenTelemetry's own variable. */
  readonly tracing: boolean;

  constructor(
    values: Values,
    surroundings: { readonly terminal: boolean; readonly tracing: boolean; readonly folder: string },
  ) {
    this.role = values.MUSTER_ROLE;
    this.host = values.MUSTER_HOST;
    this.port = values.MUSTER_PORT;
    this.publicUrl = values.MUSTER_PUBLIC_URL ?? `http://localhost:${values.MUSTER_PORT}`;
    this.dataDir = resolve(surroundings.folder, values.MUSTER_DATA_DIR);
    this.sharedDir = values.MUSTER_SHARED_DIR === undefined ? this.dataDir : resolve(values.MUSTER_SHARED_DIR);
    this.databaseUrl = values.DATABASE_URL ?? null;
    this.redisUrl = values.REDIS_URL ?? null;
    this.databasePool = values.MUSTER_DATABASE_POOL;
    this.leaseSeconds = values.MUSTER_LEASE_SECONDS;
    this.importPaths = values.MUSTER_IMPORT_PATHS;
    this.importHosts = values.MUSTER_IMPORT_HOSTS;
    this.remoteTimeoutMs = values.MUSTER_REMOTE_TIMEOUT_SECONDS * 1000;
    this.remoteCredentials = values.MUSTER_REMOTE_CREDENTIALS ?? null;
    this.remoteCa = values.MUSTER_REMOTE_CA ?? null;
    this.remoteSshKey = values.MUSTER_REMOTE_SSH_KEY ?? null;
    this.remoteKnownHosts = values.MUSTER_REMOTE_KNOWN_HOSTS ?? null;
    this.forges = values.MUSTER_FORGES ?? [];
    this.bodyLimitBytes = values.MUSTER_BODY_LIMIT_BYTES;
    this.minThreshold = values.MUSTER_MIN_THRESHOLD;
    this.maxTimeoutSeconds = values.MUSTER_MAX_TIMEOUT_SECONDS;
    this.adminEmail = values.MUSTER_ADMIN_EMAIL;
    this.adminPassword = values.MUSTER_ADMIN_PASSWORD ?? null;
    this.verifiers = values.MUSTER_VERIFIERS;
    this.logLevel = values.MUSTER_LOG_LEVEL;
    this.logPretty = values.MUSTER_LOG_PRETTY ?? surroundings.terminal;
    this.sandbox = values.MUSTER_SANDBOX;
    this.sandboxCommand = values.MUSTER_SANDBOX_COMMAND ?? null;
    this.sandboxKubernetes = values.MUSTER_SANDBOX_KUBERNETES ?? null;
    this.supervised = values.MUSTER_SUPERVISED;
    this.npmRegistry = values.MUSTER_NPM_REGISTRY ?? null;
    this.npmCache = values.MUSTER_NPM_CACHE ?? null;
    this.pythonWheels = values.MUSTER_PYTHON_WHEELS ?? null;
    this.gatePolicy = values.MUSTER_GATE_POLICY ?? gatePolicy.parse({});
    this.reworkLimit = values.MUSTER_REWORK_LIMIT;
    this.retryDelaysSeconds = values.MUSTER_RETRY_DELAYS;
    this.repositoriesUpkeepMs = millisecondsOf(values.MUSTER_REPOSITORIES_UPKEEP);
    this.landingWindow = values.MUSTER_LANDING_WINDOW;
    this.landingStrategies = values.MUSTER_LANDING_STRATEGIES;
    this.landingProtectedBranches = values.MUSTER_LANDING_PROTECTED_BRANCHES;
    this.drainSeconds = values.MUSTER_DRAIN_SECONDS;
    this.tasksArchiveAfterMs = millisecondsOf(values.MUSTER_TASKS_ARCHIVE_AFTER);
    this.tasksRetentionMs = millisecondsOf(values.MUSTER_TASKS_RETENTION);
    this.blobsRetentionMs = millisecondsOf(values.MUSTER_BLOBS_RETENTION);
    this.verificationLogsRetentionMs = millisecondsOf(values.MUSTER_VERIFICATION_LOGS_RETENTION);
    this.eventsRetentionMs = millisecondsOf(values.MUSTER_EVENTS_RETENTION);
    this.tracing = surroundings.tracing;
    this.#values = values;
  }

  readonly #values: Values;

  /** With MUSTER_PORT=0 the port is known once the server listens. */
  listensOn(port: number): void {
    if (this.port === 0 && this.#values.MUSTER_PUBLIC_URL === undefined) this.publicUrl = `http://localhost:${port}`;
  }

  /** The effective values by variable, secrets masked. */
  describe(): { readonly name: string; readonly value: string; readonly meaning: string }[] {
    return Object.entries(variables).map(([name, type]) => ({
      name,
      value: masked(name, this.#values[name as keyof Values]),
      meaning: type.description ?? '',
    }));
  }
}

const millisecondsOfUnit: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Of `45s`, `30m`, `12h`, `90d`; null for anything without a unit. */
function millisecondsOf(text: string): number | null {
  const unit = millisecondsOfUnit[text.slice(-1)];
  return /^\d/.test(text) && unit !== undefined ? Number(text.slice(0, -1)) * unit : null;
}

function masked(name: string, value: Values[keyof Values]): string {
  if (value === undefined) return '';
  if (secrets.has(name)) return '********';
  if (typeof value === 'object' && !Array.isArray(value))
    return JSON.stringify({ ...value, seed: value.seed === '' ? '' : '********' });
  const text = Array.isArray(value)
    ? (value as readonly (string | number | ForgeAccount)[])
        .map((item) => (typeof item === 'object' ? item.name : String(item)))
        .join(separatedByColons.has(name) ? ':' : ',')
    : String(value);
  return text.replace(/^(\w+:\/\/[^:@/]*):[^@/]*@/, '$1:********@');
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** @param env usually `process.env`; an empty value counts as not set */
export function loadConfig(env: Environment): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const problems = Object.keys(given)
    .filter((name) => name.startsWith('MUSTER_') && !(name in variables) && !foreign.has(name))
    .map((name) => `${name}: there is no such setting`);
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    problems.push(...parsed.error.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`));
  }
  if (problems.length > 0 || !parsed.success) throw new ConfigError(problems.sort());
  return new Config(parsed.data, {
    terminal: process.stdout.isTTY,
    tracing: given['OTEL_EXPORTER_OTLP_ENDPOINT'] !== undefined,
    folder: process.cwd(),
  });
}

/** The environment for a child process of ours: what it needs to run, nothing that is secret. */
export const childEnvironment = (extra: Readonly<Record<string, string>>): Record<string, string> =>
  kept(
    [
      'PATH',
      'HOME',
      'LANG',
      'TZ',
      'TMPDIR',
      'NODE_EXTRA_CA_CERTS',
      'HTTP_PROXY',
      'HTTPS_PROXY',
      'NO_PROXY',
      'http_proxy',
      'https_proxy',
      'no_proxy',
    ],
    extra,
  );

/** The environment for a program of somebody else's: a proxy's address may hold a password, and a home may hold keys. */
export const strangersEnvironment = (extra: Readonly<Record<string, string>>): Record<string, string> =>
  kept(['PATH', 'LANG', 'TZ'], extra);

function kept(names: readonly string[], extra: Readonly<Record<string, string>>): Record<string, string> {
  const own = names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]] as const]));
  return { ...Object.fromEntries(own), ...extra };
}

/** The settings of the process that runs. */
export const loadProcessConfig = (): Config => loadConfig(process.env);

/** A password or key for the server's own use: 32 random bytes. */
export const randomSecret = (): string => randomBytes(32).toString('base64url');

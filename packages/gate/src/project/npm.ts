import { execFile } from 'node:child_process';
import { homedir } from 'node:os';
import { promisify } from 'node:util';
import { toolchain } from '../sandbox/toolchain.ts';

/** What npm finds of our environment: the way to its registry, and nothing else. */
const inherited = [
  'PATH',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
];

/** Why npm did not do what it was asked for, in its own words. */
export class NpmFailed extends Error {
  override readonly name = 'NpmFailed';
  /** The machine or its registry is why. */
  readonly outage: boolean;

  constructor(message: string, outage: boolean) {
    super(message);
    this.outage = outage;
  }
}

/** Runs the operator's npm, with whatever registry and credentials it is configured with. @throws NpmFailed */
export async function npm(
  args: readonly [string, ...string[]],
  cwd: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { node, npmCli } = toolchain();
  const env: Record<string, string> = { HOME: homedir(), NO_COLOR: '1' };
  for (const name of inherited) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  try {
    await promisify(execFile)(node, [npmCli!, ...args], {
      cwd,
      env,
      timeout: 300_000,
      maxBuffer: 16 * 1024 * 1024,
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    signal?.throwIfAborted();
    const said =
      error !== null && typeof error === 'object' && 'stderr' in error ? String(error.stderr) : String(error);
    const words = said
      .split('\n')
      .filter((line) => /^npm error\s+\S/.test(line))
      .map((line) => line.replace(/^npm error\s+/, ''))
      .filter((line) => !/^(Clean install a project|Usage:|npm ci|Options:|\[|aliases:|Run "npm help)/.test(line));
    throw new NpmFailed(
      `npm ${args[0]} failed: ${(words.length > 0 ? words.slice(0, 8).join('; ') : said.trim()).slice(0, 1000)}`,
      isOutage(error, said),
    );
  }
}

/** Did npm end for want of network, registry, time or room, rather than because of what it was asked to install? */
export const isOutage = (error: unknown, said: string): boolean =>
  (error !== null && typeof error === 'object' && 'killed' in error && error.killed === true) ||
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|EPIPE|ERR_SOCKET_TIMEOUT|ENOSPC|EDQUOT|EROFS|EMFILE|ENOMEM|ENOTCACHED|E429|E5\d\d|EIDLETIMEOUT)\b/.test(
    said,
  );

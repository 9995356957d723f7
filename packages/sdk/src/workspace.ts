import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TaskAssignment } from '@muster/contracts';
import { backoffMs, pause } from './backoff.ts';

export interface WorkspaceOptions {
  readonly url: string;
  readonly token: () => Promise<string>;
  /** The project's part of a task, or as much of a project's view. */
  readonly project: Pick<TaskAssignment['project'], 'branch' | 'head' | 'gitPath'>;
  readonly signal: AbortSignal;
}

export class GitError extends Error {
  readonly args: readonly string[];
  readonly exitCode: number | null;
  readonly stderr: string;

  constructor(args: readonly string[], exitCode: number | null, stderr: string) {
    super(`git ${args[0]} failed: ${stderr.trim().slice(-2_000) || `exit code ${exitCode}`}`);
    this.name = 'GitError';
    this.args = args;
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

/** What git says when the server is away; worth another try. */
const awayPattern =
  /could not connect|failed to connect|connection refused|connection reset|couldn't connect|empty reply|error: 50[234]|hung up|early eof|recv failure|timed out/i;

/**
 * A clean checkout of the task's base in a folder of its own, removed when the attempt ends. The key travels in git's
 * environment: it stands on no command line and in no file.
 */
export class Workspace {
  /** The checkout's folder. */
  readonly path: string;
  /** The commit that was checked out. */
  readonly base: string;
  readonly #root: string;
  readonly #options: WorkspaceOptions;

  private constructor(root: string, base: string, options: WorkspaceOptions) {
    this.#root = root;
    this.path = join(root, 'work');
    this.base = base;
    this.#options = options;
  }

  static async of(options: WorkspaceOptions): Promise<Workspace> {
    const { head, branch, gitPath } = options.project;
    if (head === null)
      throw new Error(
        'The project has no commit yet, so there is nothing to check out. Submit files on its first import.',
      );
    const root = await mkdtemp(join(tmpdir(), 'muster-work-'));
    const workspace = new Workspace(root, head, options);
    try {
      await runGit(root, ['init', '--quiet', '--initial-branch=work', 'work'], {}, options.signal);
      await workspace.git(['remote', 'add', 'origin', options.url + gitPath]);
      await workspace.fetch(`+refs/heads/${branch}:refs/remotes/origin/${branch}`);
      await workspace.git(['checkout', '--quiet', '--detach', head]);
    } catch (error) {
      await workspace.remove();
      throw error;
    }
    return workspace;
  }

  /** Runs git in the checkout and answers what it printed; may talk to the server. */
  async git(args: readonly string[]): Promise<string> {
    return (await this.#run(args)).stdout;
  }

  /** Fetches from the project, `refs/muster/submissions/<id>` for instance, and answers what FETCH_HEAD is then. */
  async fetch(refspec: string): Promise<string> {
    await this.#remote(['fetch', '--quiet', '--no-tags', 'origin', refspec]);
    return (await this.git(['rev-parse', 'FETCH_HEAD'])).trim();
  }

  /** Everything that changed since the base, new files included, as a patch; empty when nothing did. */
  async diff(): Promise<string> {
    await this.git(['add', '--all']);
    return this.git([
      'diff',
      '--cached',
      '--binary',
      '--full-index',
      '--no-color',
      '--no-ext-diff',
      '--no-renames',
      this.base,
    ]);
  }

  /** Commits everything that changed. */
  async commit(message: string): Promise<string> {
    await this.git(['add', '--all']);
    await this.git(['-c', 'user.name=agent', '-c', 'user.email=agent@localhost', 'commit', '--quiet', '-m', message]);
    return (await this.git(['rev-parse', 'HEAD'])).trim();
  }

  /** Pushes a commit to refs/for/<branch>: with the task's fence it becomes the submission. Answers what the server printed. */
  async push(commit: string, pushOptions: readonly string[]): Promise<string> {
    const { branch } = this.#options.project;
    const { stderr } = await this.#remote([
      'push',
      ...pushOptions.map((option) => `--push-option=${option}`),
      'origin',
      `${commit}:refs/for/${branch}`,
    ]);
    return stderr;
  }

  async remove(): Promise<void> {
    await rm(this.#root, { recursive: true, force: true, maxRetries: 3 });
  }

  async #remote(args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#run(args);
      } catch (error) {
        if (!(error instanceof GitError) || attempt >= 12 || !awayPattern.test(error.stderr)) throw error;
        await pause(backoffMs(attempt, { firstMs: 300, maxMs: 5_000 }), this.#options.signal);
        this.#options.signal.throwIfAborted();
      }
    }
  }

  async #run(args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    const basic = Buffer.from(`agent:${await this.#options.token()}`).toString('base64');
    const settings: Array<[string, string]> = [
      [`http.${this.#options.url}/.extraHeader`, `Authorization: Basic ${basic}`],
      ['credential.helper', ''],
      ['core.hooksPath', '/dev/null'],
      ['core.autocrlf', 'false'],
      ['gc.auto', '0'],
      ['advice.detachedHead', 'false'],
    ];
    const env: Record<string, string> = { GIT_CONFIG_COUNT: String(settings.length) };
    settings.forEach(([key, value], index) => {
      env[`GIT_CONFIG_KEY_${index}`] = key;
      env[`GIT_CONFIG_VALUE_${index}`] = value;
    });
    return runGit(this.path, args, env, this.#options.signal);
  }
}

const runGit = (
  cwd: string,
  args: readonly string[],
  env: Record<string, string>,
  signal: AbortSignal,
): Promise<{ stdout: string; stderr: string }> =>
  new Promise((resolve, reject) => {
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_') && !name.startsWith('MUSTER_')),
    );
    const child = spawn('git', args, {
      cwd,
      env: { ...inherited, LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      const stderr = Buffer.concat(err).toString('utf8');
      if (code === 0) resolve({ stdout: Buffer.concat(out).toString('utf8'), stderr });
      else reject(new GitError(args, code, stderr));
    });
  });

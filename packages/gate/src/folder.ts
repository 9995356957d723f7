import {
  projectPolicy,
  type DeclaredWork,
  type FirstLook,
  type GatePolicy,
  type ProjectPolicy,
  type VerificationFacts,
} from '@muster/contracts';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { pack, type Pack } from 'tar-stream';
import { parse } from 'yaml';
import { checks as allChecks } from './checks/all.ts';
import { judge, type Judgement } from './judge.ts';
import type { Sandbox } from './sandbox/detect.ts';
import { extractTree } from './source/extract.ts';
import { runVerification, type VerificationOptions } from './verification.ts';
import { ownFolder } from './sandbox/own-folder.ts';

export interface VerifyFolderOptions {
  /** A git work tree; what it holds now is the candidate, committed or not, without what git ignores. */
  dir: string;
  /** What it is compared with; default HEAD. */
  baseRef?: string;
  cacheDir: string;
  sandbox: Sandbox;
  /** What the work says that it is; default: the subjects of the commits since the base. */
  declared?: DeclaredWork;
  /** What the operator asks of every project, as the server has it. */
  server?: GatePolicy;
  npmRegistry?: string | null;
  /** Where packages come from, as the operator has set it for the server's verifiers. */
  npmCache?: string | null;
  pythonWheels?: string | null;
  signal?: AbortSignal;
  onProgress?: (ratio: number, message: string) => void;
  onLog?: (line: string) => void;
  /** What each check runs and prints, while it does. */
  onCheckLog?: (check: string, text: string) => void;
  /** Only these checks, by name; default: all. What is required of others is not asked then. */
  checks?: readonly string[];
  /** What lots were drawn with elsewhere; the same trees and the same draw try the same functions. */
  draw?: string;
}

/** Somebody asks for what there is not. */
export class UnknownCheck extends Error {}
/** What it is to be compared with is in this clone neither a commit nor a tree. */
export class UnknownBase extends Error {}

const gitEnv = (extra: Record<string, string> = {}): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '',
  HOME: process.env['HOME'] ?? '/',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_OPTIONAL_LOCKS: '0',
  ...extra,
});

async function git(dir: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(
    'git',
    ['-C', dir, '-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false', ...args],
    {
      env: gitEnv(env),
      maxBuffer: 256 * 1024 * 1024,
      encoding: 'utf8',
    },
  );
  return stdout.trimEnd();
}

/** Every blob of a tree, exactly: `git archive` would leave out what attributes say. */
async function checkOut(dir: string, tree: string, into: string): Promise<void> {
  const listing = await git(dir, ['ls-tree', '-r', '-z', '--full-tree', tree]);
  const entries = listing
    .split('\0')
    .filter(Boolean)
    .flatMap((line) => {
      const match = /^(\d{6}) blob ([0-9a-f]+)\t([\s\S]*)$/.exec(line);
      return match === null ? [] : [{ mode: match[1]!, id: match[2]!, path: match[3]! }];
    });
  const packed: Pack = pack();
  const cat = spawn('git', ['-C', dir, 'cat-file', '--batch'], { env: gitEnv(), stdio: ['pipe', 'pipe', 'ignore'] });
  const failed = new Promise<never>((_resolve, reject) => cat.once('error', reject));
  const filling = (async () => {
    let rest = Buffer.alloc(0);
    const chunks = cat.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    const more = async (): Promise<void> => {
      const next = await chunks.next();
      if (next.done === true) throw new Error('git cat-file ended early');
      rest = Buffer.concat([rest, next.value]);
    };
    for (const entry of entries) {
      cat.stdin.write(`${entry.id}\n`);
      while (rest.indexOf(10) < 0) await more();
      const head = rest.subarray(0, rest.indexOf(10)).toString();
      const size = Number(head.split(' ')[2]);
      if (!Number.isInteger(size)) throw new Error(`git could not read ${entry.path}`);
      rest = rest.subarray(rest.indexOf(10) + 1);
      const parts: Buffer[] = [rest];
      let have = rest.length;
      while (have < size + 1) {
        const next = await chunks.next();
        if (next.done === true) throw new Error('git cat-file ended early');
        parts.push(next.value);
        have += next.value.length;
      }
      rest = Buffer.concat(parts);
      const bytes = rest.subarray(0, size);
      rest = rest.subarray(size + 1);
      if (entry.mode === '120000') packed.entry({ name: entry.path, type: 'symlink', linkname: bytes.toString() });
      else packed.entry({ name: entry.path, mode: entry.mode === '100755' ? 0o755 : 0o644 }, Buffer.from(bytes));
    }
    cat.stdin.end();
    packed.finalize();
  })();
  await Promise.race([
    Promise.all([filling, extractTree(Readable.from(packed as AsyncIterable<Buffer>), into)]),
    failed,
  ]);
}

async function policyAt(dir: string, ref: string): Promise<ProjectPolicy> {
  let text: string;
  try {
    text = await git(dir, ['show', `${ref}:muster.yaml`]);
  } catch {
    return projectPolicy.parse({});
  }
  return projectPolicy.parse(parse(text) ?? {});
}

/** The gate on a local folder: the same checks, policy read from the base, the candidate what the folder holds. */
export async function verifyFolder(
  options: VerifyFolderOptions,
): Promise<{ facts: VerificationFacts; policy: ProjectPolicy; judgement: Judgement }> {
  return await inFolder(options, async (verification, policy) => {
    const facts = await runVerification(verification);
    const ran = new Set(verification.checks?.map(({ name }) => name));
    const wanted = [...new Set([...policy.required, ...(options.server?.required ?? [])])];
    const required = options.checks === undefined ? wanted : wanted.filter((name) => ran.has(name));
    return { facts, policy, judgement: judge(facts, { ...policy, required }, 'admission') };
  });
}

/** What a first look at the folder shows; the rest is not run. */
export async function lookAtFolder(options: VerifyFolderOptions): Promise<FirstLook> {
  return await inFolder(options, async (verification) => {
    const seen = new AbortController();
    const signal = options.signal === undefined ? seen.signal : AbortSignal.any([options.signal, seen.signal]);
    let look: FirstLook | undefined;
    const onFirstLook = (first: FirstLook): void => {
      look = first;
      seen.abort();
    };
    try {
      await runVerification({ ...verification, signal, onFirstLook });
    } catch (error) {
      if (look === undefined || options.signal?.aborted === true) throw error;
    }
    if (look === undefined) throw new Error('The first look was given up; run the whole.');
    return look;
  });
}

async function baseOf(root: string, ref: string): Promise<{ tree: string; commit: string | null }> {
  const parsed = async (what: string): Promise<string | null> =>
    await git(root, ['rev-parse', '--verify', '--quiet', '--end-of-options', what]).catch(() => null);
  const commit = await parsed(`${ref}^{commit}`);
  // Whoever was told what to compare with was told a tree.
  const tree = await parsed(`${commit ?? ref}^{tree}`);
  if (tree === null)
    throw new UnknownBase(
      `${ref} is neither a commit nor a tree in this clone. Fetch the branch that the change is to go into, or name another with --base.`,
    );
  return { tree, commit };
}

function namedChecks(names: readonly string[]): typeof allChecks {
  const unknown = names.filter((name) => !allChecks.some((check) => check.name === name));
  if (unknown.length > 0)
    throw new UnknownCheck(
      `There is no check ${unknown.join(', ')}. There are ${allChecks.map(({ name }) => name).join(', ')}.`,
    );
  return allChecks.filter(({ name }) => names.includes(name));
}

async function inFolder<T>(
  options: VerifyFolderOptions,
  work: (verification: VerificationOptions, policy: ProjectPolicy) => Promise<T>,
): Promise<T> {
  const checks = options.checks === undefined ? undefined : namedChecks(options.checks);
  const root = await git(options.dir, ['rev-parse', '--show-toplevel']);
  const { tree: baseTree, commit } = await baseOf(root, options.baseRef ?? 'HEAD');
  const folder = ownFolder('verify');
  try {
    // An index of our own, so that looking at a work tree changes nothing in it.
    const index = { GIT_INDEX_FILE: join(folder, 'index') };
    await git(root, ['read-tree', 'HEAD'], index);
    await git(root, ['add', '--all'], index);
    const candidateTree = await git(root, ['write-tree'], index);
    const policy = await policyAt(root, baseTree);
    const subjects = commit === null ? '' : await git(root, ['log', '--format=%s', '-n', '50', `${commit}..HEAD`]);
    await Promise.all([
      checkOut(root, candidateTree, join(folder, 'candidate')),
      checkOut(root, baseTree, join(folder, 'base')),
    ]);
    return await work(
      {
        candidateDir: join(folder, 'candidate'),
        baseDir: join(folder, 'base'),
        restoresDir: null,
        input: {
          purpose: 'admission',
          candidateTree,
          baseTree,
          restoresTree: null,
          policy,
          rulesDigest: createHash('sha256').update(JSON.stringify(policy)).digest('hex'),
          declared: options.declared ?? { title: subjects === '' ? null : subjects.slice(0, 2000), paths: null },
          ...(options.server === undefined ? {} : { server: options.server }),
          ...(options.draw === undefined ? {} : { draw: options.draw }),
        },
        workDir: join(folder, 'runs'),
        cacheDir: options.cacheDir,
        sandbox: options.sandbox,
        npmRegistry: options.npmRegistry ?? null,
        npmCache: options.npmCache ?? null,
        pythonWheels: options.pythonWheels ?? null,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
        ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
        ...(options.onLog === undefined ? {} : { onLog: options.onLog }),
        ...(options.onCheckLog === undefined ? {} : { onCheckLog: options.onCheckLog }),
        ...(checks === undefined ? {} : { checks }),
      },
      policy,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

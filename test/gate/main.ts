import { detectSandbox } from '@muster/gate';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cases as allCases } from './cases/index.ts';
import type { CorpusCase } from './case.ts';
import { realCommits } from './history.ts';
import { Packages } from './packages.ts';
import { noPart, partOf } from './part.ts';
import { realReleases, Releases, type RealRelease } from './releases.ts';
import { Workshop, type Outcome } from './workshop.ts';

const leastRefused = 0.95;
const mostHonestRefused = 0.02;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    name: { type: 'string' },
    project: { type: 'string' },
    short: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    lanes: { type: 'string', default: '2' },
    part: { type: 'string', default: '1/1' },
  },
});
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** A case of ours, a real commit, or a real release. */
interface Item {
  name: string;
  kind: string;
  project: string;
  refusedBy?: string[];
  unrun?: boolean;
  /** Has to be fetched first. */
  release?: RealRelease;
  judge: (workshop: Workshop) => Promise<Outcome>;
}

interface Judged {
  each: Item;
  outcome: Outcome;
  /** Refused for the right reason, or let in, as it should be. */
  right: boolean;
}

/** Everything that the verdicts follow from besides the case itself. */
function gateDigest(): string {
  const hash = createHash('sha256').update(process.version);
  const walk = (dir: string): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.isDirectory()) walk(join(dir, entry.name));
      else if (entry.name.endsWith('.js')) hash.update(entry.name).update(readFileSync(join(dir, entry.name)));
    }
  };
  walk(join(root, 'packages', 'gate', 'dist'));
  walk(join(root, 'packages', 'contracts', 'dist'));
  return hash.update(readFileSync(join(root, 'package-lock.json'))).digest('hex');
}

const staleMs = 6 * 3600 * 1000;
/** Where runs of the sandbox may read: below the system's temporary folder, and nobody else's. */
function cacheFolder(digest: string): string {
  const folder = join(tmpdir(), `muster-corpus-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true });
  const about = lstatSync(folder);
  if (!about.isDirectory() || about.uid !== userInfo().uid)
    throw new Error(`${folder} belongs to somebody else; remove it, or set TMPDIR to another folder.`);
  chmodSync(folder, 0o755);
  const own = join(folder, digest.slice(0, 16));
  mkdirSync(own, { recursive: true });
  utimesSync(own, new Date(), new Date());
  // What earlier gates answered is of no use; one that was begun lately may still be judging.
  for (const name of readdirSync(folder))
    if (Date.now() - statSync(join(folder, name)).mtimeMs > staleMs) rmSync(join(folder, name), { recursive: true, force: true }); // prettier-ignore
  return own;
}

const hasPytest = (): boolean => {
  try {
    execFileSync('python3', ['-c', 'import pytest'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** A case that cannot be made, or a gate that breaks on it, is wrong and keeps no other from being judged. */
const faulty = (error: unknown): Outcome => ({
  verdict: 'none',
  score: 0,
  reasons: [error instanceof Error ? (error.stack ?? error.message) : String(error)],
  errors: [],
  notRun: [],
  ms: 0,
});

const isRight = (each: Item, { verdict, errors }: Outcome): boolean =>
  each.refusedBy === undefined
    ? verdict === 'accepted'
    : verdict === 'rejected' && errors.some((line) => each.refusedBy!.includes(line.split(' ')[0]!));

/** The first of every kind, one bad and one honest, of whatever project it is. */
function shortOf(cases: readonly Item[]): Item[] {
  const seen = new Set<string>();
  return cases.filter((each) => {
    const key = each.kind;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

async function main(): Promise<number> {
  const packages = new Packages(root);
  const ours = allCases.map((each: CorpusCase): Item => ({ ...each, judge: (workshop) => workshop.judge(each) }));
  const real = realCommits(root, packages, say).map(({ commit, subject, ofTheCode, trees }): Item => ({
    name: `${commit.slice(0, 7)} ${subject}`,
    kind: ofTheCode ? 'honest real commit of code' : 'honest real commit',
    project: 'muster',
    // Its author handed it in as a person.
    judge: (workshop) => {
      const { before, after } = trees();
      return workshop.compare(before, after, { title: subject, paths: null }, {}, 'its author');
    },
  }));
  const releases = new Releases(packages);
  const published = realReleases.map((release): Item => ({
    name: `${release.project} ${release.from.version} → ${release.to.version}`,
    kind: 'honest real release',
    project: release.project,
    release,
    judge: (workshop) => {
      const { before, after } = releases.trees(release);
      return workshop.compare(before, after, { title: `Release ${release.to.version}`, paths: null }, {}, 'its author');
    },
  }));
  const all = [...ours, ...real, ...published];
  let cases = all.filter(
    (each) =>
      (values.only === undefined || each.kind === values.only) &&
      (values.name === undefined || each.name.includes(values.name)) &&
      (values.project === undefined || each.project === values.project),
  );
  if (cases.length === 0) {
    say(`There is no case of that name or kind. Kinds: ${[...new Set(all.map((each) => each.kind))].join(', ')}`);
    return 2;
  }
  if (values.short) cases = shortOf(cases);
  const chosen = partOf(values.part, cases);
  if (chosen === null) {
    say(noPart(values.part));
    return 2;
  }
  cases = chosen;
  if (!hasPytest()) {
    const left = cases.filter((each) => each.project !== 'stockroom');
    say(
      `SKIPPED: ${cases.length - left.length} cases, because there is no pytest on this machine (Debian: python3-pytest).`,
    );
    if (process.env['CI'] === 'true') return 1;
    cases = left;
  }
  try {
    releases.fetch(cases.flatMap(({ release }) => (release === undefined ? [] : [release])));
  } catch (error) {
    const left = cases.filter(({ release }) => release === undefined);
    say(`SKIPPED: ${cases.length - left.length} real releases, which npm could not bring: ${String(error)}`);
    if (process.env['CI'] === 'true') return 1;
    cases = left;
  }
  const sandbox = await detectSandbox('auto');
  if (sandbox.driver === null) {
    say(`No sandbox: ${sandbox.notes.join('; ')}. The corpus executes code, and is not run without one.`);
    return 1;
  }
  const digest = gateDigest();
  const workDir = mkdtempSync(join(tmpdir(), 'muster-corpus-run-'));
  chmodSync(workDir, 0o755);
  const started = performance.now();
  const judged: Judged[] = [];
  try {
    const workshop = new Workshop({
      root,
      packages,
      workDir,
      cacheDir: cacheFolder(digest),
      sandbox,
      fresh: values.fresh,
      gateDigest: `${digest} ${sandbox.driver.name}`,
    });
    const queue = [...cases];
    const lane = async (): Promise<void> => {
      for (let each = queue.shift(); each !== undefined; each = queue.shift()) {
        const outcome = await each.judge(workshop).catch(faulty);
        const right = isRight(each, outcome);
        judged.push({ each, outcome, right });
        const sure = right && (each.unrun === true || outcome.notRun.length === 0);
        const seconds = (outcome.ms / 1000).toFixed(1);
        say(
          `${sure ? 'ok   ' : 'WRONG'} ${each.kind} · ${each.name} (${each.project}): ${outcome.verdict} ${outcome.score}, ${seconds} s`,
        );
        if (!sure)
          for (const line of [...outcome.reasons, ...outcome.errors, ...outcome.notRun]) say(`        ${line}`);
      }
    };
    await Promise.all(Array.from({ length: Number(values.lanes) }, lane));
  } finally {
    rmSync(workDir, { recursive: true, force: true, maxRetries: 3 });
  }

  const share = (part: readonly Judged[]): number =>
    part.length === 0 ? 1 : Math.round((part.filter((one) => one.right).length / part.length) * 10_000) / 10_000;
  const bad = judged.filter(({ each }) => each.refusedBy !== undefined);
  const honest = judged.filter(({ each }) => each.refusedBy === undefined);
  const kinds = [...new Set(all.map((each) => each.kind))].flatMap((kind) => {
    const of = judged.filter(({ each }) => each.kind === kind);
    return of.length === 0
      ? []
      : [{ kind, cases: of.length, honest: of.every(({ each }) => each.refusedBy === undefined), right: share(of) }];
  });
  const notRun = judged.filter(({ each, outcome }) => each.unrun !== true && outcome.notRun.length > 0).length;
  const refused = share(bad);
  const honestRefused = Math.round((1 - share(honest)) * 10_000) / 10_000;
  say('');
  say(`${'kind'.padEnd(34)}${'cases'.padStart(7)}${'right'.padStart(8)}   owed`);
  for (const each of kinds)
    say(
      `${each.kind.padEnd(34)}${String(each.cases).padStart(7)}${`${Math.round(each.right * 100)} %`.padStart(8)}   ${each.honest ? 'let in' : 'refused'}`,
    );
  say('');
  say(
    `${judged.length} cases in ${Math.round((performance.now() - started) / 1000)} s: ${bad.length} bad, ${Math.round(refused * 1000) / 10} % refused for the right reason; ` +
      `${honest.length} honest, ${Math.round(honestRefused * 1000) / 10} % refused; ${notRun} with a check that was not run.`,
  );
  const result = { cases: judged.length, badRefusedForTheRightReason: refused, honestRefused, kinds };
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, null, 2)}\n`);
  return refused >= leastRefused && honestRefused <= mostHonestRefused && notRun === 0 ? 0 : 1;
}

process.exitCode = await main();

import { basename, join, resolve } from 'node:path';
import type { SubmissionView } from '@muster/contracts';
import { nowUs, until } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { fastImport, git, handIn, repositoryOf, type CommitToMake } from './machinery/git.ts';
import { rulesThatWait } from './machinery/rules.ts';
import { say, type Stage } from './machinery/stage.ts';

const strategies = ['merge', 'squash', 'rebase'] as const;
type Strategy = (typeof strategies)[number];
/** Handed in at once, all on the same head. */
const WAVE = 4;

/**
 * Lands the last changes of a repository's own history over again, by each strategy, on all of the history before them. Afterwards the
 * audit must be clean, and each landed tree must be what git itself makes of that change on the landing before.
 */
export async function strategiesOnHistory(stage: Stage): Promise<Measure[]> {
  const { options, folder } = stage;
  const given = options.repos.map((path) => resolve(path));
  if (given.length === 0) {
    const made = join(folder, 'made');
    await repositoryOf(made, []);
    await fastImport(made, historyOf(options.short ? 300 : 3_000));
    given.push(made);
  }
  const measures: Measure[] = [];
  for (const path of given) for (const strategy of strategies) measures.push(...(await replay(stage, path, strategy)));
  return measures;
}

async function replay(stage: Stage, path: string, strategy: Strategy): Promise<Measure[]> {
  const { server, folder, options } = stage;
  const called = `${basename(path) === 'repo' ? basename(resolve(path, '..')) : basename(path)}`.replaceAll(/[^A-Za-z0-9]+/g, '-').toLowerCase(); // prettier-ignore
  const slug = `${called}-${strategy}`;
  const source = join(folder, `strategies-${slug}`);
  await git(folder, 'clone', '--quiet', '--bare', '--single-branch', path, source);
  const tip = await git(source, 'rev-parse', 'HEAD');
  const all = Number(await git(source, 'rev-list', '--count', 'HEAD'));
  // Twice as many as are wanted: some of them conflict with what they stood beside, or bring nothing.
  const wanted = options.changes;
  const line = (await git(source, 'rev-list', '--first-parent', `--max-count=${wanted * 4 + 1}`, tip)).split('\n').toReversed(); // prettier-ignore
  const [start = '', ...ahead] = line;
  await git(source, 'update-ref', '--no-deref', 'HEAD', start);
  await git(source, 'symbolic-ref', 'HEAD', 'refs/heads/main');
  for (const ref of (await git(source, 'for-each-ref', '--format=%(refname)', 'refs/heads')).split('\n'))
    await git(source, 'update-ref', '-d', ref);
  // What can be asked of any history: its tests may need what is not installed here.
  const rules = rulesThatWait('true', `landing: { strategy: ${strategy} }`, 'secrets, tampering');
  await fastImport(source, [{ branch: 'main', from: start, message: 'Come under Muster', files: [['muster.yaml', rules]] }]); // prettier-ignore
  const project = await server.client.projects.create({ name: slug, slug, source: { path: source } });
  const repository = join(server.dataFolder, 'repositories', `${project.id}.git`);
  const began = nowUs();
  const counts = { landed: 0, refused: 0, skipped: 0, exact: 0 };
  const made = new Map<string, { readonly commit: string; readonly base: string }>();
  const submissions = async (): Promise<SubmissionView[]> =>
    (await server.client.submissions.list({ projectId: project.id, limit: 100 })).items;
  let expected = await git(source, 'rev-parse', 'main^{tree}');
  let before = await git(source, 'rev-parse', 'main');
  while (ahead.length > 0 && counts.landed < wanted) {
    const wave: string[] = [];
    while (ahead.length > 0 && wave.length < Math.min(WAVE, wanted - counts.landed)) {
      const change = await changeOn(source, before, ahead.splice(0, 1 + (made.size % 3)));
      if (change === null) counts.skipped += 1;
      else if (made.has(change)) break;
      else {
        made.set(change, { commit: change, base: before });
        wave.push(change);
      }
    }
    const token = await server.ownerToken();
    for (const commit of [...wave])
      await handIn(source, `${server.url}${project.gitPath}`, token, commit).catch(() => {
        counts.refused += 1;
        wave.splice(wave.indexOf(commit), 1);
      });
    let settled: SubmissionView[] = [];
    await until(`${wave.length} changes having settled`, 180, async () => {
      settled = (await submissions()).filter(({ commit }) => wave.includes(commit));
      return settled.length === wave.length && settled.every(({ state }) => ['landed', 'rejected', 'conflicted', 'failed'].includes(state));
    }, 100); // prettier-ignore
    for (const { state, reasons } of settled)
      if (state !== 'landed') {
        counts.refused += 1;
        say(`  ${slug}: a change is ${state}: ${reasons.join('; ').slice(0, 200)}`);
      }
    const landings = (await server.client.landings.list({ projectId: project.id, limit: WAVE })).items;
    await git(source, 'fetch', '--quiet', repository, 'main');
    for (const landing of landings.toReversed()) {
      const of = settled.find(({ landingId }) => landingId === landing.id);
      const change = of === undefined ? undefined : made.get(of.commit);
      if (change === undefined || landing.commit === null) continue;
      counts.landed += 1;
      // By git alone, from the trees: the change against where it began, on what has landed before.
      expected = (await merged(source, change.base, before, change.commit)) ?? '';
      if ((await git(source, 'rev-parse', `${landing.commit}^{tree}`)) === expected) counts.exact += 1;
      before = landing.commit;
    }
  }
  const seconds = (nowUs() - began) / 1e6;
  const audit = await server.client.audit(project.id);
  if (!audit.ok) throw new Error(`${slug}: the audit is not clean: ${JSON.stringify(audit).slice(0, 2000)}`);
  const fsck = await git(repository, '-c', 'safe.directory=*', 'fsck', '--full', '--no-dangling', '--no-progress');
  if (fsck !== '') throw new Error(`${slug}: git fsck says ${fsck}`);
  if (counts.landed === 0) throw new Error(`${slug}: nothing of ${made.size} changes has landed.`);
  if (counts.exact !== counts.landed)
    throw new Error(
      `${slug}: ${counts.landed - counts.exact} of ${counts.landed} landed trees are not what git makes.`,
    );
  say(
    `  ${slug}: on ${all} commits ${counts.landed} landed in ${seconds.toFixed(1)} s, ${counts.refused} refused, ${counts.skipped} left out; audit of ${audit.checked} clean`,
  );
  const figure = (name: string, unit: string, ours: number, better: 'higher' | 'lower' = 'higher'): Measure =>
    measureOf({ name: `${called}_${strategy}_${name}`, unit, better, ours: [ours] });
  return [
    figure('history', 'commits', all),
    figure('landed', 'changes', counts.landed),
    figure('not_landed', 'changes', counts.refused, 'lower'),
    figure('exact', '% of landed trees', (100 * counts.exact) / Math.max(1, counts.landed)),
    figure('audited', 'commits', audit.checked),
    figure('per_landing', 's', seconds / Math.max(1, counts.landed), 'lower'),
  ];
}

/** These commits over again on top of another; null where they conflict there or bring nothing. */
async function changeOn(source: string, head: string, commits: readonly string[]): Promise<string | null> {
  let on = head;
  for (const commit of commits) {
    const tree = await merged(source, `${commit}^1`, on, commit);
    if (tree === null) return null;
    if (tree === (await git(source, 'rev-parse', `${on}^{tree}`))) continue;
    const message = await git(source, 'log', '-1', '--format=%B', commit);
    on = await git(source, 'commit-tree', '-p', on, '-m', message, tree);
  }
  return on === head ? null : on;
}

/** What git makes of two sides of a base, whatever their real ancestors are; null where they conflict. */
async function merged(source: string, base: string, ours: string, theirs: string): Promise<string | null> {
  const stand = async (of: string, ...parents: string[]): Promise<string> =>
    git(source, 'commit-tree', '-m', of, ...parents.flatMap((parent) => ['-p', parent]), `${of}^{tree}`);
  const root = await stand(base);
  const sides = [await stand(ours, root), await stand(theirs, root)];
  return git(source, 'merge-tree', '--write-tree', ...sides).catch(() => null);
}

/** A long history, the same each time: a few lines of a few of 400 files in each commit. */
function* historyOf(commits: number): Generator<CommitToMake> {
  const files = Array.from({ length: 400 }, (_, at) => ({
    path: `src/part${at % 20}/file${at}.js`,
    lines: Array.from({ length: 40 }, (_line, row) => `export const value${row} = ${at};`),
  }));
  const bodyOf = ({ path, lines }: (typeof files)[number]) => [path, `${lines.join('\n')}\n`] as const;
  yield { branch: 'main', from: null, message: 'Begin', files: files.map(bodyOf) };
  let seed = 1;
  const below = (limit: number): number => (seed = (seed * 48_271) % 2_147_483_647) % limit;
  for (let at = 1; at < commits; at += 1) {
    const touched = Array.from({ length: 1 + below(3) }, () => files[below(files.length)]).filter((file) => file !== undefined); // prettier-ignore
    for (const { lines } of touched) lines[below(lines.length)] = `export const changed${at} = ${at};`;
    yield { branch: 'main', from: null, message: `Change ${at}`, files: touched.map(bodyOf) };
  }
}

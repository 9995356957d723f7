import { join } from 'node:path';
import { nowUs, until } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { each, fastImport, git, handIn, repositoryOf } from './machinery/git.ts';
import { busyShare } from './machinery/processor-time.ts';
import { rulesThatWait } from './machinery/rules.ts';
import { say, type Stage } from './machinery/stage.ts';
import { median } from './machinery/statistics.ts';

/** One verifier for each: what `settings` of the bench start. */
const SLOTS = 4;

/** Independent good changes that were accepted and are let in together, or one after another: how long until all of them have landed. */
export async function queue(stage: Stage): Promise<Measure[]> {
  const { options } = stage;
  const count = options.short ? 8 : 20;
  const seconds = options.short ? 2 : 5;
  // A person releases them, so that the queue begins with all of them accepted.
  const byPerson = 'landing: { mode: person }';
  const half = (name: 'waiting' | 'real'): boolean => options.only?.includes(name) ?? true;
  const name = `queue_${count}_on_${SLOTS}`;
  const peers = (other: Played) => ({ 'one after another': [other.seconds] });
  const measures: Measure[] = [];
  if (half('waiting')) {
    const waits = `sleep ${seconds}`;
    const together = await landAll(stage, 'together', count, rulesThatWait(waits, byPerson), 'together');
    const sequence = await landAll(stage, 'sequence', count, rulesThatWait(waits), 'one after another');
    measures.push(
      measureOf({ name: 'one_verification', unit: 's', better: 'lower', ours: [sequence.verification] }),
      measureOf({ name, unit: 's', better: 'lower', ours: [together.seconds], peers: peers(sequence) }),
      measureOf({ name: `${name}_verifications`, unit: 'times one', better: 'lower', ours: [together.seconds / sequence.verification] }),
      measureOf({ name: `${name}_with_admission`, unit: 's', better: 'lower', ours: [together.whole] }),
    ); // prettier-ignore
  }
  if (half('real')) {
    const works = 'node work.js';
    const real = await landAll(stage, 'real', count, rulesThatWait(works, byPerson), 'together');
    const sequence = await landAll(stage, 'real-sequence', count, rulesThatWait(works), 'one after another');
    measures.push(
      measureOf({ name: `${name}_real`, unit: 's', better: 'lower', ours: [real.seconds], peers: peers(sequence) }),
      measureOf({ name: `${name}_real_cores_busy`, unit: '% of all cores', better: 'higher', ours: [real.busy * 100] }),
    ); // prettier-ignore
  }
  return measures;
}

interface Played {
  /** From the first release to the last landing. */
  readonly seconds: number;
  /** From the first push to the last landing. */
  readonly whole: number;
  /** The middle of them; those that were handed in one after another waited for nobody. */
  readonly verification: number;
  readonly busy: number;
}

async function landAll(
  { server, folder }: Stage,
  name: string,
  count: number,
  rules: string,
  how: 'together' | 'one after another',
): Promise<Played> {
  const source = join(folder, `queue-${name}`);
  await repositoryOf(source, [
    ['muster.yaml', rules],
    ['work.js', "import { createHash } from 'node:crypto';\nlet hash = '';\nfor (let at = 0; at < 400_000; at += 1) hash = createHash('sha256').update(hash + at).digest('hex');\n"],
    ['package.json', '{ "type": "module" }\n'],
  ]); // prettier-ignore
  const slug = `bench-queue-${name}`;
  const project = await server.client.projects.create({ name: slug, slug, source: { path: source } });
  const base = await git(source, 'rev-parse', 'main');
  const changes = Array.from({ length: count }, (_, at) => `change${at}`);
  await fastImport(
    source,
    changes.map((branch, at) => ({
      branch,
      from: base,
      message: `Change ${at}`,
      files: [[`src/new${at}.js`, `export const value = ${at};\n`] as const],
    })),
  );
  const push = async (branch: string): Promise<void> =>
    handIn(source, `${server.url}${project.gitPath}`, server.producerToken, await git(source, 'rev-parse', branch));
  const all = async () => {
    const { items } = await server.client.submissions.list({ projectId: project.id, limit: 100 });
    const lost = items.find(({ state }) => ['rejected', 'conflicted', 'failed'].includes(state));
    if (lost !== undefined) throw new Error(`${lost.id} is ${lost.state}: ${lost.reasons.join('; ')}`);
    return items.toReversed();
  };
  const landed = async (): Promise<number> => (await all()).filter(({ state }) => state === 'landed').length;
  const began = nowUs();
  let released = began;
  let busy = busyShare();
  if (how === 'together') {
    await each(changes, 4, push);
    await until(`${count} accepted changes`, 300, async () => {
      const items = await all();
      return items.length === count && items.every(({ held }) => held === 'person');
    }, 200); // prettier-ignore
    const accepted = await all();
    busy = busyShare();
    released = nowUs();
    await each(accepted, 4, async ({ id }) => void (await server.client.submissions.release(id)));
    await until(`${count} landings`, 600, async () => (await landed()) === count, 100);
  } else
    // Handed in when the one before has landed: nothing of it can have been verified ahead.
    for (const [at, branch] of changes.entries()) {
      await push(branch);
      await until(`landing ${at + 1} of ${count}`, 120, async () => (await landed()) === at + 1, 100);
    }
  const ended = nowUs();
  const share = busy();
  const verifications = (await server.client.verifications.list(project.id, { limit: 100 })).items;
  const took = verifications.flatMap(({ createdAt, finishedAt }) =>
    finishedAt === null ? [] : [(Date.parse(finishedAt) - Date.parse(createdAt)) / 1000],
  );
  const played = {
    seconds: (ended - released) / 1e6,
    whole: (ended - began) / 1e6,
    verification: median(took),
    busy: share,
  };
  say(
    `  ${name}: ${count} landed ${how} in ${played.seconds.toFixed(1)} s (${played.whole.toFixed(1)} s with admission), cores busy for ${(share * 100).toFixed(0)} % of it`,
  );
  return played;
}

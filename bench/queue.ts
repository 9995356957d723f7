import { join } from 'node:path';
import { nowUs, sleep, until } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { each, fastImport, git, handIn, repositoryOf } from './machinery/git.ts';
import { busyShare } from './machinery/processor-time.ts';
import { rulesThatWait } from './machinery/rules.ts';
import { say, type Stage } from './machinery/stage.ts';

/** One verifier for each: what `settings` of the bench start. */
const SLOTS = 4;

/** Independent good changes, handed in together and one after another: how long until all of them have landed. */
export async function queue(stage: Stage): Promise<Measure[]> {
  const { options } = stage;
  const count = options.short ? 8 : 20;
  const seconds = options.short ? 2 : 5;
  const waiting = rulesThatWait(`sleep ${seconds}`);
  const one = await landAll(stage, 'one', 1, waiting, 1);
  const together = await landAll(stage, 'together', count, waiting, count);
  const sequence = await landAll(stage, 'sequence', count, waiting, 1);
  // Real work: 400,000 rounds of SHA-256 keep one core busy for some tenths of a second.
  const working = rulesThatWait(`node work.js`);
  const real = await landAll(stage, 'real', count, working, count);
  const realSequence = await landAll(stage, 'real-sequence', count, working, 1);
  const peers = (other: { seconds: number }) => ({ 'one after another': [other.seconds] });
  return [
    measureOf({ name: 'verification_s', unit: 's', better: 'lower', ours: [one.seconds] }),
    measureOf({ name: `queue_${count}_on_${SLOTS}`, unit: 's', better: 'lower', ours: [together.seconds], peers: peers(sequence) }),
    measureOf({ name: `queue_${count}_on_${SLOTS}_verifications`, unit: 'times one', better: 'lower', ours: [together.seconds / one.seconds] }),
    measureOf({ name: `queue_${count}_real`, unit: 's', better: 'lower', ours: [real.seconds], peers: peers(realSequence) }),
    measureOf({ name: `queue_${count}_real_cores_busy`, unit: '% of all cores', better: 'higher', ours: [real.busy * 100] }),
  ]; // prettier-ignore
}

async function landAll(
  { server, folder }: Stage,
  name: string,
  count: number,
  rules: string,
  atOnce: number,
): Promise<{ seconds: number; busy: number }> {
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
  const landed = async (): Promise<number> => {
    const { items } = await server.client.submissions.list({ projectId: project.id, limit: 100 });
    const lost = items.find(({ state }) => ['rejected', 'conflicted', 'failed'].includes(state));
    if (lost !== undefined) throw new Error(`${lost.id} is ${lost.state}: ${lost.reasons.join('; ')}`);
    return items.filter(({ state }) => state === 'landed').length;
  };
  const busy = busyShare();
  const began = nowUs();
  if (atOnce > 1) {
    await each(changes, 4, async (branch) =>
      handIn(source, `${server.url}${project.gitPath}`, server.producerToken, await git(source, 'rev-parse', branch)),
    );
    await until(`${count} landings`, 600, async () => (await landed()) === count, 200);
  } else
    for (const [at, branch] of changes.entries()) {
      await handIn(source, `${server.url}${project.gitPath}`, server.producerToken, await git(source, 'rev-parse', branch));
      await until(`landing ${at + 1} of ${count}`, 120, async () => (await landed()) === at + 1, 100);
    } // prettier-ignore
  const seconds = (nowUs() - began) / 1e6;
  const share = busy();
  say(`  ${name}: ${count} landed in ${seconds.toFixed(1)} s, cores busy for ${(share * 100).toFixed(0)} % of it`);
  await sleep(500);
  return { seconds, busy: share };
}

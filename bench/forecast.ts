import { join } from 'node:path';
import { nowUs } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { each, fastImport, git, handIn, repositoryOf } from './machinery/git.ts';
import { rulesThatWait } from './machinery/rules.ts';
import { say, type Stage } from './machinery/stage.ts';

/** Which of a hundred open changes will conflict with one another, on a repository of 50,000 files. */
export async function forecast(stage: Stage): Promise<Measure[]> {
  const { server, options } = stage;
  const [files, changes] = options.short ? [5_000, 30] : [50_000, 100];
  const source = join(stage.folder, 'forecast');
  const place = (at: number): string => `src/part${at % 200}/file${at}.js`;
  const body = (at: number, word: string): string =>
    Array.from({ length: 20 }, (_, row) => `export const line${row} = '${row === 10 ? word : at}';\n`).join('');
  await repositoryOf(source, [
    ['muster.yaml', rulesThatWait('true')],
    ...Array.from({ length: files }, (_, at) => [place(at), body(at, 'base')] as const),
  ]);
  const project = await server.client.projects.create({
    name: 'Bench forecast',
    slug: 'bench-forecast',
    source: { path: source },
  });
  const base = await git(source, 'rev-parse', 'main');
  // Each touches five files of its own, and every second one the same file as its neighbour: so many pairs conflict.
  await fastImport(
    source,
    Array.from({ length: changes }, (_, at) => ({
      branch: `change${at}`,
      from: base,
      message: `Change ${at}`,
      files: [
        ...Array.from({ length: 5 }, (_, more) => [place(at * 5 + more), body(at, 'own')] as const),
        [place(files - 1 - Math.floor(at / 2)), body(at, `shared ${at}`)] as const,
      ],
    })),
  );
  await each(Array.from({ length: changes }, (_, at) => `change${at}`), 4, async (branch) =>
    handIn(source, `${server.url}${project.gitPath}`, server.producerToken, await git(source, 'rev-parse', branch)),
  ); // prettier-ignore
  const ask = async (): Promise<{ changes: number; pairsMerged: number; conflicts: unknown[] }> => {
    const answer = await fetch(`${server.url}/api/projects/${project.id}/conflicts`, {
      headers: { authorization: `Bearer ${server.producerToken}` },
    });
    if (!answer.ok) throw new Error(`The forecast says ${answer.status}.`);
    return (await answer.json()) as { changes: number; pairsMerged: number; conflicts: unknown[] };
  };
  // The server keeps what it has merged, so only the first question is the whole work.
  const rounds: number[] = [];
  for (let round = 0; round <= options.rounds; round += 1) {
    const began = nowUs();
    const seen = await ask();
    rounds.push((nowUs() - began) / 1e6);
    if (seen.changes !== changes) throw new Error(`${seen.changes} changes are open, not ${changes}.`);
    if (seen.conflicts.length !== Math.floor(changes / 2))
      throw new Error(`${seen.conflicts.length} conflicts were told, and there are ${Math.floor(changes / 2)}.`);
    say(
      `  ${seen.changes} changes, ${seen.pairsMerged} pairs merged, ${seen.conflicts.length} conflicts: ${rounds.at(-1)?.toFixed(3)} s`,
    );
  }
  const name = `forecast_${changes}_of_${files}_files`;
  return [
    measureOf({ name, unit: 's', better: 'lower', ours: rounds.slice(0, 1) }),
    measureOf({ name: `${name}_again`, unit: 's', better: 'lower', ours: rounds.slice(1) }),
  ];
}

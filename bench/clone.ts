import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { nowUs, sleep } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { each, git, repositoryOf } from './machinery/git.ts';
import { startHttpBackend } from './machinery/http-backend.ts';
import { familyMib, residentMib } from './machinery/processor-time.ts';
import { say, type Stage } from './machinery/stage.ts';

/** Clones through Muster's git endpoint, against git's own `http-backend` behind nginx on the same repository. */
export async function clone(stage: Stage): Promise<Measure[]> {
  const { server, options } = stage;
  const megabytes = options.short ? 8 : 40;
  const crowd = 50;
  const source = join(stage.folder, 'clone');
  const files = Array.from({ length: megabytes * 32 }, (_, at) => {
    return [`src/part${at % 40}/file${at}.bin`, randomBytes(32 * 1024)] as const;
  });
  await repositoryOf(source, files);
  const project = await server.client.projects.create({
    name: 'Bench clone',
    slug: 'bench-clone',
    source: { path: source },
  });
  const repository = join(server.dataFolder, 'repositories', `${project.id}.git`);
  // Packed for both, which the server does not do by itself: what is measured is the way to the client.
  await git(repository, 'repack', '-q', '-a', '-d');
  const peer = await startHttpBackend(stage.folder, join(server.dataFolder, 'repositories'), (stop) =>
    stage.cleanUp(stop),
  );
  const ours = {
    url: `${server.url}${project.gitPath}`,
    header: [`http.extraHeader=Authorization: Bearer ${server.producerToken}`],
  };
  const theirs = peer === null ? null : { url: `${peer.url}/${project.id}.git`, header: [] };
  if (theirs !== null) stage.versions['nginx'] = peer?.version ?? '';
  type Place = { readonly url: string; readonly header: readonly string[] };
  const cloneFrom = async ({ url, header }: Place): Promise<void> => {
    const to = await mkdtemp(join(stage.folder, 'to-'));
    await git(to, ...header.flatMap((value) => ['-c', value]), 'clone', '--quiet', '--bare', url, 'clone.git');
    await rm(to, { recursive: true, force: true });
  };
  const throughput = async (place: Place, count: number, atOnce: number): Promise<number> => {
    const began = nowUs();
    await each(
      Array.from({ length: count }, () => place),
      atOnce,
      cloneFrom,
    );
    return (count * megabytes) / ((nowUs() - began) / 1e6);
  };
  await cloneFrom(ours);
  if (theirs !== null) await cloneFrom(theirs);
  const measures: Measure[] = [];
  for (const [atOnce, count] of [
    [1, 3],
    [4, 8],
  ] as const) {
    // prettier-ignore
    const samples: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
    for (let round = 0; round < options.rounds; round += 1) {
      const turns = round % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const);
      for (const who of turns) {
        const place = who === 'ours' ? ours : theirs;
        if (place !== null) samples[who].push(await throughput(place, count, atOnce));
      }
    }
    const peers: Record<string, number[]> = theirs === null ? {} : { 'git http-backend': samples.theirs };
    measures.push(measureOf({ name: `clone_${atOnce}`, unit: 'MB/s', better: 'higher', ours: samples.ours, peers }));
  }
  await server.settle();
  const before = { own: residentMib(server.pid), family: familyMib(server.pid) };
  const peak = { ...before };
  let watching = true;
  const watch = (async () => {
    while (watching) {
      peak.own = Math.max(peak.own, residentMib(server.pid));
      peak.family = Math.max(peak.family, familyMib(server.pid));
      await sleep(20);
    }
  })();
  try {
    await throughput(ours, crowd, crowd);
  } finally {
    watching = false;
    await watch;
  }
  say(
    `  ${crowd} clones at once: server ${before.own.toFixed(0)} → ${peak.own.toFixed(0)} MiB, with its git ${peak.family.toFixed(0)} MiB`,
  );
  const memory = (name: string, mib: number): Measure => measureOf({ name, unit: 'MiB', better: 'lower', ours: [mib] });
  return [
    ...measures,
    memory(`clone_${crowd}_server_memory`, peak.own),
    memory(`clone_${crowd}_server_memory_added`, Math.max(0, peak.own - before.own)),
    memory(`clone_${crowd}_with_git_memory_added`, Math.max(0, peak.family - before.family)),
  ];
}

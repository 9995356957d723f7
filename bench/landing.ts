import { join } from 'node:path';
import { until } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { fastImport, git, handIn, repositoryOf } from './machinery/git.ts';
import { rulesThatWait } from './machinery/rules.ts';
import { say, type Stage } from './machinery/stage.ts';
import { percentile } from './machinery/statistics.ts';

/** What Muster adds to a verification: from handed in to asked for, and from answered to landed, one change at a time. */
export async function landing(stage: Stage): Promise<Measure[]> {
  const { server, options } = stage;
  const count = options.short ? 8 : 40;
  const source = join(stage.folder, 'landing');
  await repositoryOf(source, [
    ['muster.yaml', rulesThatWait('true')],
    ...Array.from({ length: 500 }, (_, at) => [`src/file${at}.js`, `export const value = ${at};\n`] as const),
  ]);
  const project = await server.client.projects.create({
    name: 'Bench landing',
    slug: 'bench-landing',
    source: { path: source },
  });
  const added: number[] = [];
  const behind: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const { head } = await server.client.projects.get(project.id);
    if (head === null) throw new Error('The project has no head.');
    await git(source, 'fetch', '--quiet', join(server.dataFolder, 'repositories', `${project.id}.git`), 'main');
    const files = [[`src/file${at}.js`, `export const value = ${at} + 1;\n`] as const];
    await fastImport(source, [{ branch: `change${at}`, from: head, message: `Change ${at}`, files }]);
    const before = new Set((await server.client.submissions.list({ projectId: project.id })).items.map(({ id }) => id));
    await handIn(
      source,
      `${server.url}${project.gitPath}`,
      server.producerToken,
      await git(source, 'rev-parse', `change${at}`),
    );
    let landed: { created: number; asked: number; answered: number; done: number } | null = null;
    await until(`change ${at} having landed`, 120, async () => {
      const { items } = await server.client.submissions.list({ projectId: project.id });
      const ours = items.find(({ id }) => !before.has(id));
      if (ours === undefined) return false;
      if (['rejected', 'conflicted', 'failed'].includes(ours.state))
        throw new Error(`${ours.id} is ${ours.state}: ${ours.reasons.join('; ')}`);
      if (ours.landingId === null) return false;
      const [row, verification] = await Promise.all([
        server.client.landings.get(ours.landingId),
        server.client.verifications.get(ours.verificationId ?? ''),
      ]);
      if (row.landedAt === null || verification.finishedAt === null) return false;
      landed = {
        created: Date.parse(ours.createdAt),
        asked: Date.parse(verification.createdAt),
        answered: Date.parse(verification.finishedAt),
        done: Date.parse(row.landedAt),
      };
      return true;
    }, 50); // prettier-ignore
    const { created, asked, answered, done } = landed as unknown as Record<
      'created' | 'asked' | 'answered' | 'done',
      number
    >;
    added.push(asked - created + (done - answered));
    behind.push(done - answered);
  }
  say(`  ${count} landings: added ${added.map((ms) => ms.toFixed(0)).join(', ')} ms`);
  const line = (name: string, ours: number): Measure => measureOf({ name, unit: 'ms', better: 'lower', ours: [ours] });
  return [
    line('landing_overhead_p50', percentile(added, 50)),
    line('landing_overhead_p95', percentile(added, 95)),
    line('landing_after_verdict_p95', percentile(behind, 95)),
  ];
}

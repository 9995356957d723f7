import type { Finding } from '@muster/contracts';
import picomatch from 'picomatch';
import { gzipSync } from 'node:zlib';
import type { SourceTree } from '../source/tree.ts';
import { findingOf, outcome, type Check } from './check.ts';

/** Growth below this is no growth: a name that got longer. */
const leastBytes = 256;
const percentOf = (before: number, after: number): number => Math.round(((after - before) / before) * 1000) / 10;

function sizeOf(tree: SourceTree, glob: string): { files: number; raw: number; gzip: number } {
  const fits = picomatch(glob, { dot: true });
  const size = { files: 0, raw: 0, gzip: 0 };
  for (const [path, link] of tree.files) {
    if (link !== null || !fits(path)) continue;
    const bytes = Buffer.from(tree.content(path) ?? '', 'latin1');
    size.files++;
    size.raw += bytes.length;
    size.gzip += gzipSync(bytes).length;
  }
  return size;
}

/** What the build leaves, as it is and as it travels: does it grow by more than the project wants? */
export const bundleSizeCheck: Check = {
  name: 'bundle-size',
  category: 'performance',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing'],
  async run({ policy, base, run, baseRun }) {
    const { artefacts } = policy.performance;
    if (artefacts.length === 0) return outcome('not_run', 'the project declares no artefacts');
    const before = base === null ? null : await baseRun();
    if (run === null || (base !== null && before === null))
      return outcome('not_run', 'the project could not be made ready to run');
    if ((await run.build())?.ok === false) return outcome('not_run', 'the build failed; `build` says why');
    if ((await before?.build())?.ok === false) return outcome('inconclusive', 'the build fails on the branch');
    const [now, then] = [await run.artefacts(), (await before?.artefacts()) ?? null];
    const findings: Finding[] = [];
    const metrics: Record<string, number> = {};
    const told: string[] = [];
    for (const { path, growthPercent, mostGzipBytes } of artefacts) {
      const size = sizeOf(now, path);
      const old = then === null ? null : sizeOf(then, path);
      metrics[`${path}.raw`] = size.raw;
      metrics[`${path}.gzip`] = size.gzip;
      const report = (rule: string, level: Finding['level'], message: string, remedy: string): void => {
        findings.push(
          findingOf({ check: 'bundle-size', rule: `bundle-size.${rule}`, level, message, remedy, key: path }),
        );
      };
      if (size.files === 0) {
        if (old !== null && old.files > 0)
          report(
            'gone',
            'error',
            `The build leaves no ${path} any more; on the branch it does.`,
            'Have the build make it again.',
          );
        told.push(`no ${path}`);
        continue;
      }
      const grown = old === null || old.gzip === 0 ? 0 : percentOf(old.gzip, size.gzip);
      told.push(`${path}: ${size.raw} bytes, ${size.gzip} with gzip (${grown > 0 ? '+' : ''}${grown} %)`);
      if (old === null || old.gzip === 0) continue;
      metrics[`${path}.percent`] = grown;
      const sizes = `from ${old.gzip} to ${size.gzip} bytes with gzip (from ${old.raw} to ${size.raw} as it is)`;
      if (mostGzipBytes !== undefined && size.gzip > mostGzipBytes && old.gzip <= mostGzipBytes)
        report(
          'too_large',
          'error',
          `${path} grows ${sizes}; at most ${mostGzipBytes} are allowed.`,
          'Take out what makes it grow, or have a maintainer raise `mostGzipBytes`.',
        );
      else if (grown > growthPercent && size.gzip - old.gzip >= leastBytes)
        report(
          'grown',
          'warning',
          `${path} grows by ${grown} %, ${sizes}; ${growthPercent} % are let pass.`,
          'Look at what the change imports, and load what is seldom needed when it is needed.',
        );
    }
    return outcome(findings.length > 0 ? 'failed' : 'passed', told.join('; '), findings, metrics);
  },
};

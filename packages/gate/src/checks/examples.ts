import type { CheckFacts, Finding } from '@muster/contracts';
import type { TreeRun } from '../project/tree-run.ts';
import { isPython, isScript } from '../source/paths.ts';
import type { SourceTree } from '../source/tree.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';

/** Of one example; one that waits for something is ended, here as on the branch, and says nothing. */
const secondsEach = 5;
const most = 20;
const place = 'muster-example';

interface Example {
  path: string;
  line: number;
  /** How it is run, from the root of the project. */
  command: string;
  /** For a block: the file that it is written to. */
  file: string | null;
  text: string;
  /** The block says that it can be run. */
  declared: boolean;
}

/**
 * Blocks in `js`, `ts` or `python` that load something, and those that say `runnable` after the language; not those that say `norun`. And the
 * files right below `examples/`.
 */
export function examplesIn(tree: SourceTree): Example[] {
  const found: Example[] = [];
  for (const path of [...tree.files.keys()].sort()) {
    const text = tree.text(path);
    if (text === null) continue;
    if (/^examples\/[^/]+$/.test(path) && (isScript(path) || isPython(path)) && !/x$/.test(path)) {
      const command = `${isPython(path) ? 'python3' : 'node'} '${path.replaceAll("'", "'\\''")}'`;
      found.push({ path, line: 1, command, file: null, text, declared: false });
    }
    if (!/^(?:README|docs\/.*)\.(?:md|mdx)$/i.test(path)) continue;
    for (const match of text.matchAll(/^```(\w+)[^\S\n]*([^\n]*)\n([\s\S]*?)^```[^\S\n]*$/gm)) {
      const [, language = '', info = '', body = ''] = match;
      const python = /^(?:py|python)$/.test(language);
      if (!python && !/^(?:js|javascript|mjs|ts|typescript)$/.test(language)) continue;
      const declared = /\brunnable\b/.test(info);
      const loads = /^\s*(?:import\b|from\s+\S+\s+import\b)|\brequire\(/m.test(body);
      if (/\bnorun\b/.test(info) || (!declared && !loads)) continue;
      const ending = python ? 'py' : /^t/.test(language) ? 'mts' : /\brequire\(/.test(body) && !/^\s*import\b/m.test(body) ? 'cjs' : 'mjs';
      const file = `${place}-${found.length}.${ending}`;
      const line = text.slice(0, match.index).split('\n').length;
      found.push({ path, line, command: `${python ? 'python3' : 'node'} ${file}`, file, text: body, declared });
    }
  }
  return found.slice(0, most);
} // prettier-ignore

/** What each ended with and said last; all of them in one copy of the tree. */
async function runAll(run: TreeRun, examples: readonly Example[]): Promise<{ ended: Map<Example, { ok: boolean; said: string }>; reused: CheckFacts['reused'] }> {
  const added = new Map(examples.flatMap(({ file, text }) => (file === null ? [] : [[file, text] as const])));
  const line = examples
    .map(
      ({ command }, at) =>
        `timeout -s KILL ${secondsEach} ${command} >/dev/null 2>/tmp/said </dev/null; printf '\\n${place} ${at} %s ' $?; head -c 2000 /tmp/said | tr '\\n' ' '`,
    )
    .join('; ');
  const { stdout, reused = null } = await run.show(line, { added });
  const ended = new Map<Example, { ok: boolean; said: string }>();
  for (const [, at, code, said] of stdout.matchAll(new RegExp(`^${place} (\\d+) (\\d+) (.*)$`, 'gm'))) {
    const example = examples[Number(at)];
    if (example !== undefined) ended.set(example, { ok: code === '0', said: said!.trim() });
  }
  return { ended, reused };
} // prettier-ignore

/** Do the examples of README, docs and `examples/` still run? Only what runs on the branch and no longer here counts. */
export const examplesCheck: Check = {
  name: 'examples',
  category: 'documentation',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: changePurposes,
  async run({ policy, against, candidate, changes, run, baseRun }) {
    if (!policy.checks.documentation) return outcome('not_run', 'switched off in muster.yaml');
    const examples = examplesIn(candidate);
    if (examples.length === 0) return outcome('passed', 'there are no examples that could be run');
    if (changes.length === 0 || against === null) return outcome('passed', 'there is nothing to compare with');
    if (run === null) return outcome('not_run', 'the project could not be made ready to run');
    const { ended: now, reused } = await runAll(run, examples);
    const failing = examples.filter((each) => now.get(each)?.ok !== true);
    const metrics = { examples: examples.length, running: examples.length - failing.length };
    if (failing.length === 0) return { ...outcome('passed', `${examples.length} examples run`, [], metrics), reused };
    const before = await baseRun();
    if (before === null) return outcome('not_run', 'the branch could not be made ready to run');
    const known = examplesIn(against);
    const sameAs = (each: Example) =>
      known.find(({ path, text, file }) => text === each.text && (file !== null || path === each.path)) ??
      known.find(({ path, file }) => each.file === null && file === null && path === each.path);
    const asked = failing.flatMap((each) => sameAs(each) ?? []);
    const then = asked.length === 0 ? new Map<Example, { ok: boolean }>() : (await runAll(before, asked)).ended;
    const findings: Finding[] = failing.flatMap((each) => {
      const old = sameAs(each);
      const broken = old === undefined ? each.declared : then.get(old)?.ok === true;
      if (!broken) return [];
      const said = now.get(each)?.said ?? '';
      return [
        findingOf({
          check: 'examples',
          rule: old === undefined ? 'examples.does_not_run' : 'examples.broken',
          level: 'error',
          message: `This example ${old === undefined ? 'says that it can be run, and cannot' : 'runs on the branch and does not run any more'}: ${said.slice(0, 500) || `it did not end within ${secondsEach} s`}`,
          path: each.path,
          line: each.line,
          remedy: 'Bring the example up to date, or keep what it uses.',
          key: each.text,
        }),
      ];
    });
    return outcome(
      findings.length > 0 ? 'failed' : 'passed',
      `${metrics.running} of ${examples.length} examples run; ${findings.length} that should do not`,
      findings,
      metrics,
    );
  },
};

import type { Finding } from '@muster/contracts';
import { posix } from 'node:path';
import picomatch from 'picomatch';
import { parse as parseYaml } from 'yaml';
import { lockProblems } from '../project/dependencies.ts';
import { foreignLockNames } from '../project/foreign-locks.ts';
import { foreignLock, foreignLockProblems, npmLock, npmLockNames } from '../project/lock.ts';
import { lineOf, scriptsOf } from '../project/scripts.ts';
import { commentsIn } from '../source/comments.ts';
import { isPython, isScript, isTestFile } from '../source/paths.ts';
import { movedLines } from '../source/moved.ts';
import type { SourceTree } from '../source/tree.ts';
import { breathe } from '../breath.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';

/** What decides how a change is judged. A change may not move the bar that it is measured by. */
const rules = [
  {
    rule: 'gate_settings',
    what: 'the gate’s own settings',
    globs: ['muster.{yaml,yml}', '.muster.{yaml,yml}', '.muster/**'],
    added: true,
  },
  {
    rule: 'registry_settings',
    what: 'where packages come from',
    globs: ['**/.npmrc', '**/.yarnrc', '**/.yarnrc.yml', '**/.pnpmfile.cjs', '**/pip.conf'],
    added: true,
  },
  {
    rule: 'ci',
    what: 'continuous integration',
    globs: [
      '.github/{workflows,actions}/**',
      '.gitlab-ci.yml',
      '.circleci/**',
      'Jenkinsfile',
      'azure-pipelines.yml',
      '.travis.yml',
      'bitbucket-pipelines.yml',
      '.ci/**',
      '.buildkite/**',
    ],
    added: false,
  },
  {
    rule: 'hooks',
    what: 'git hooks',
    globs: ['.husky/**', '.githooks/**', '.pre-commit-config.yaml', 'lefthook.{yml,yaml}', '.lintstagedrc*'],
    added: false,
  },
  {
    rule: 'test_settings',
    what: 'how tests are found and run',
    globs: [
      '**/jest.config.*',
      '**/vitest.{config,workspace}.*',
      '**/.mocharc*',
      '**/{pytest,tox}.ini',
      '**/{.c8rc,.nycrc}*',
      '**/stryker.conf*',
      '**/karma.conf.*',
      '**/playwright.config.*',
      '**/ava.config.*',
      '**/.taprc',
      '**/bunfig.toml',
    ],
    added: false,
  },
  {
    rule: 'lint_settings',
    what: 'the lint rules',
    globs: [
      '**/eslint.config.*',
      '**/.eslintrc*',
      '**/.eslintignore',
      '**/biome.json*',
      '**/.oxlintrc.json',
      '**/{ruff,.ruff}.toml',
      '**/.flake8',
      '**/mypy.ini',
    ],
    added: false,
  },
  {
    rule: 'test_settings',
    what: 'what every run of Python obeys',
    globs: ['**/{sitecustomize,usercustomize}.py'],
    added: true,
  },
].map((each) => ({ ...each, covers: picomatch(each.globs, { dot: true, nocase: true }) }));

const asksTests =
  /\b(?:npm|pnpm|yarn|bun)\s+(?:run\s+)?(?:-\S+\s+)*(?:test\S*|check)(?=\s|$)|\b(?:pytest|jest|vitest|mocha|tox)\b(?!\s*@)|\b(?:go|cargo|make|dotnet|mvn|gradle)\s+test\b|\bnode\s+--test\b/;
const letsFail = /\|\|\s*(?:true|:|exit\s+0|echo\b.*)["')\s]*(?:#.*)?$|;\s*(?:true|exit\s+0)["')\s]*(?:#.*)?$/;

/** The steps of continuous integration that run tests, and are told to go on whatever these say. */
function toothless(text: string): string[] {
  const found = text.split('\n').filter((line) => !/^\s*#/.test(line) && asksTests.test(line) && letsFail.test(line));
  let settings: unknown;
  try {
    settings = parseYaml(text);
  } catch {
    return found;
  }
  const linesOf = (value: unknown): string => (Array.isArray(value) ? value.join('\n') : typeof value === 'string' ? value : ''); // prettier-ignore
  const goesOn = (each: Record<string, unknown>): boolean => each['continue-on-error'] === true || each['allow_failure'] === true; // prettier-ignore
  const jobs = { ...record(settings), ...record(record(settings)['jobs']) };
  for (const job of Object.values(jobs).map(record)) {
    const steps = Array.isArray(job['steps']) ? job['steps'].map(record) : [];
    for (const step of [...steps, job]) {
      const line = linesOf(step['run'] ?? step['script']);
      if ((goesOn(step) || goesOn(job)) && asksTests.test(line)) found.push(line);
    }
  }
  return found;
}
/** A hook that says yes to everything. */
const saysYes = (text: string): boolean => {
  const steps = text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#')); // prettier-ignore
  return steps.length > 0 && steps.every((line) => /^(?:exit 0|true|:)$/.test(line));
};

/** What stays refused whoever hands it in: code that comes from elsewhere is no matter of a project's rules. */
const forNobody: ReadonlySet<string> = new Set(['link_outside', 'lock_source']);

const forAgents =
  'Take this part out of the change. What decides how changes are judged is changed by people: a maintainer who wants it ' +
  'fetches the commit (git fetch origin refs/muster/submissions/<id>) and hands it in under their own access token, without ' +
  'a task (git push origin FETCH_HEAD:refs/for/<branch>).';

const suppressions: readonly [RegExp, string][] = [
  [/eslint-disable/, 'eslint-disable'],
  [/@ts-nocheck/, '@ts-nocheck'],
  [/@ts-ignore/, '@ts-ignore'],
  [/@ts-expect-error/, '@ts-expect-error'],
  [/biome-ignore/, 'biome-ignore'],
  [/oxlint-disable/, 'oxlint-disable'],
  [/(?:c8|v8|istanbul|node:coverage)\s+(?:ignore|disable)/, 'coverage ignore'],
  [/Stryker\s+disable/, 'Stryker disable'],
  [/secretlint-disable/, 'secretlint-disable'],
  [/gitleaks:allow/, 'gitleaks:allow'],
  [/#\s*noqa/, 'noqa'],
  [/#\s*nosec/, 'nosec'],
  [/#\s*shellcheck\s+disable/, 'shellcheck disable'],
  [/#\s*type:\s*ignore/, 'type: ignore'],
  [/#\s*pragma:\s*no\s*cover/, 'pragma: no cover'],
];
/** One rule or two, named, for one line; what is left of the comment without them is the reason. */
const narrow =
  /(?:eslint|oxlint)-disable(?:-next)?-line\s+(?<rules>[\w@][\w@/-]*(?:\s*,\s*[\w@][\w@/-]*)?)(?=\s|$|\*\/)|biome-ignore\s+(?<group>[\w/]+)|@ts-(?:expect-error|ignore)\b|#\s*noqa:\s*(?<codes>[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)?)(?!\w|\s*,\s*[A-Z]+\d)|#\s*type:\s*ignore\[(?<kinds>[\w-]+(?:\s*,\s*[\w-]+)?)\s*\]|#\s*nosec\s+(?<tests>B\d+)/g;
/** A word, of whatever script, that could say why. */
const aWord = /\p{L}{3,}/u;

/** How far the comment of a line reaches that silences a tool: the rules that it names, null where it is not about one line or two of them, and whether it says why. */
function silencedBy(comment: string): { named: number | null; says: boolean } {
  const hits = [...comment.matchAll(narrow)];
  const rest = comment.replace(narrow, ' ');
  if (hits.length === 0 || suppressions.some(([pattern]) => pattern.test(rest))) return { named: null, says: false };
  const rules = hits.flatMap(({ groups }) => Object.values(groups ?? {}).flatMap((each) => each?.split(',') ?? []));
  return { named: rules.length, says: aWord.test(comment.slice(hits[0]!.index).replace(narrow, ' ')) };
}
const inComment = /(?:\/\/|\/\*|\*|#|<!--|\{\/\*).*$/;

const record = (value: unknown): Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const strictOptions = [
  'strict',
  'noImplicitAny',
  'strictNullChecks',
  'strictFunctionTypes',
  'strictBindCallApply',
  'strictPropertyInitialization',
  'noImplicitThis',
  'useUnknownInCatchVariables',
  'alwaysStrict',
  'noUnusedLocals',
  'noUnusedParameters',
  'exactOptionalPropertyTypes',
  'noImplicitReturns',
  'noFallthroughCasesInSwitch',
  'noUncheckedIndexedAccess',
  'noImplicitOverride',
  'noPropertyAccessFromIndexSignature',
  'checkJs',
];
const looseOptions = [
  'skipLibCheck',
  'noCheck',
  'allowUnreachableCode',
  'allowUnusedLabels',
  'suppressImplicitAnyIndexErrors',
  'noEmitOnError',
];

const relaxedJson = (text: string | null): Record<string, unknown> => {
  try {
    return record(
      JSON.parse(
        (text ?? '{}')
          .replace(/("(?:\\.|[^"\\])*(?:"|$))|\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g, '$1')
          .replace(/,(\s*[}\]])/g, '$1'),
      ),
    );
  } catch {
    return {};
  }
};

/** The options by which a tsconfig got looser than it was. */
export function loosened(before: string | null, after: string | null): string[] {
  const [was, is] = [relaxedJson(before), relaxedJson(after)];
  const [wasOptions, isOptions] = [record(was['compilerOptions']), record(is['compilerOptions'])];
  const found: string[] = [];
  for (const name of strictOptions) if (wasOptions[name] === true && isOptions[name] !== true) found.push(name);
  for (const name of strictOptions) if (wasOptions[name] === undefined && isOptions[name] === false) found.push(name);
  for (const name of looseOptions.slice(0, -1))
    if (wasOptions[name] !== true && isOptions[name] === true) found.push(name);
  const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
  if (list(is['exclude']).some((each) => !list(was['exclude']).includes(each)) && before !== null)
    found.push('exclude');
  for (const key of ['include', 'files'])
    if (list(was[key]).some((each) => !list(is[key]).includes(each))) found.push(key);
  if (was['extends'] !== undefined && !same(was['extends'], is['extends'])) found.push('extends');
  return found;
}

/** The sections of a Python project's settings that say how its tests are run. */
const pytestSettings = (text: string): string =>
  text
    .split(/^(?=\[)/m)
    .filter((section) => /^\[tool[.:]pytest/.test(section))
    .map((section) => section.trim())
    .join('\n');

const judgedScripts = ['test', 'build', 'lint', 'typecheck', 'check'];
const installScripts = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish', 'preprepare', 'postprepare'];
const settingKeys = [
  'jest',
  'vitest',
  'mocha',
  'ava',
  'tap',
  'c8',
  'nyc',
  'eslintConfig',
  'eslintIgnore',
  'lint-staged',
  'husky',
  'xo',
  'stryker',
];

function* manifestTampering(
  before: SourceTree,
  after: SourceTree,
  path: string,
): Generator<{ rule: string; key: string; message: string }> {
  const [was, is] = [scriptsOf(before, path), scriptsOf(after, path)];
  const root = scriptsOf(before);
  const judging = ['test', 'lint', 'build'].flatMap((name) => [lineOf(root, name), lineOf(was, name)]).join('\n');
  // What `run-s`, a workspace flag or an unusual spelling starts is not written out; its name, or a pattern for it, is there.
  const many = /\b(?:npm-run-all|run-[sp]|concurrently|wireit|turbo|nx|lerna|wsrun)\b/.test(judging);
  for (const [name, line] of Object.entries(was)) {
    const named = new RegExp(`(^|[\\s"':])${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}($|[\\s"',;&])`, 'm').test(
      judging,
    );
    const judged = named || (many && /^(?:test|lint|check|build|typecheck)/.test(name));
    if (!judgedScripts.includes(name) && judged && is[name] !== line)
      yield {
        rule: 'scripts',
        key: name,
        message: `The package script “${name}”, which the checks start, was \`${line}\` and is \`${is[name] ?? 'gone'}\` now.`,
      };
  }
  for (const name of judgedScripts) {
    const line = lineOf(was, name);
    if (line !== null && line !== lineOf(is, name) && !/no test specified/.test(line)) {
      yield {
        rule: 'scripts',
        key: name,
        message: `The package script “${name}” (or what runs before, after or within it) was \`${line}\` and is \`${lineOf(is, name) ?? 'gone'}\` now.`,
      };
    }
  }
  for (const name of installScripts) {
    if (is[name] !== undefined && is[name] !== was[name])
      yield {
        rule: 'scripts',
        key: name,
        message: `The package script “${name}”, which runs on every machine that installs, is \`${is[name]}\` now.`,
      };
  }
  const [wasManifest, isManifest] = [before.json(path) ?? {}, after.json(path) ?? {}];
  for (const key of settingKeys) {
    const used =
      wasManifest[key] !== undefined ||
      (lineOf(was, 'test') ?? '').includes(key) ||
      (lineOf(was, 'lint') ?? '').includes(key.replace(/Config$|Ignore$/, ''));
    if (used && !same(wasManifest[key], isManifest[key]))
      yield {
        rule: 'test_settings',
        key,
        message: `package.json's “${key}”, by which this change is judged, was changed.`,
      };
  }
}

/** A mark that silences a tool, by its wording. */
const markOf = (line: string): string | null => {
  const comment = inComment.exec(line)?.[0].trim();
  return comment !== undefined && suppressions.some(([pattern]) => pattern.test(comment)) ? comment : null;
};

export const tamperingCheck: Check = {
  name: 'tampering',
  category: 'integrity',
  languages: ['*'],
  needs: [],
  purposes: changePurposes,
  async run({ policy, approvedBy, against, candidate, changes, installed, npmRegistry }) {
    const findings: Finding[] = [];
    const veto = (rule: string, message: string, path: string, key = path, line: number | null = null): void => {
      const about = { check: 'tampering', rule: `tampering.${rule}`, path, line, key };
      findings.push(
        approvedBy !== null && !forNobody.has(rule)
          ? findingOf({
              ...about,
              level: 'note',
              message: `${message} Let through by ${approvedBy}.`,
            })
          : findingOf({
              ...about,
              level: 'error',
              veto: true,
              message,
              remedy: forNobody.has(rule)
                ? 'Take this part out of the change. Nothing may come from outside of the repository and the registry.'
                : forAgents,
            }),
      );
    };
    const isProtected = policy.protected.length > 0 ? picomatch(policy.protected, { dot: true }) : () => false;
    const testLine = against === null ? '' : (lineOf(scriptsOf(against), 'test') ?? '');
    const lintLine = against === null ? '' : (lineOf(scriptsOf(against), 'lint') ?? '');
    const isMoved = movedLines(changes, against, candidate, (path) => isScript(path) || isPython(path), markOf);
    for (const { path, status, addedLines } of changes) {
      await breathe();
      const did = status === 'added' ? 'adds' : status === 'removed' ? 'removes' : 'changes';
      if (isProtected(path)) veto('protected', `This change ${did} ${path}, which the project protects.`, path);
      for (const { rule, what, covers, added } of rules) {
        if (!covers(path)) continue;
        // A first settings file of a tool that the branch does not use changes nobody's bar; one for a tool in use can lower it.
        const base = posix.basename(path).replace(/^\./, '');
        const inUse =
          (rule === 'test_settings' &&
            ['jest', 'vitest', 'mocha', 'pytest', 'c8', 'nyc', 'playwright'].some(
              (tool) => base.startsWith(tool) && testLine.includes(tool),
            )) ||
          (rule === 'lint_settings' &&
            ['eslint', 'biome', 'oxlint', 'ruff', 'mypy', 'flake8'].some(
              (tool) => base.startsWith(tool) && lintLine.includes(tool),
            ));
        if (against === null && rule !== 'registry_settings') continue;
        if (status !== 'added' || added || inUse) veto(rule, `This change ${did} ${path}: ${what}.`, path);
      }
      const text = status === 'added' ? (candidate.text(path) ?? '') : '';
      const judges = (rule: string): boolean => rules.some((each) => each.rule === rule && each.covers(path));
      if (text !== '' && judges('ci'))
        for (const step of toothless(text))
          veto(
            'ci',
            `${path} runs tests and goes on whatever they say: ${step.trim().slice(0, 200)}`,
            path,
            step.trim(),
          );
      if (text !== '' && judges('hooks') && saysYes(text)) veto('hooks', `${path} lets everything pass.`, path);
      if (/\.pth$/.test(path) && /^import[ \t]/m.test(candidate.text(path) ?? ''))
        veto('test_settings', `${path} is run by every start of Python.`, path);
      // A program that the test script starts decides what a test run is.
      const started = /(?:^|[\s&;])(?:node|tsx|ts-node|bash|sh|python3?)\s+(?:-\S+\s+)*(?:\.\/)?([\w./-]+)/g;
      if (status !== 'added' && !isTestFile(path) && [...testLine.matchAll(started)].some(([, each]) => each === path))
        veto('test_settings', `This change ${did} ${path}, which the test script starts.`, path);
      if (/(^|\/)(?:pyproject\.toml|setup\.cfg)$/.test(path) && against !== null) {
        const before = pytestSettings(against.text(path) ?? '');
        const used =
          before !== '' || testLine.includes('pytest') || [...against.files.keys()].some((each) => isPython(each));
        if (used && before !== pytestSettings(candidate.text(path) ?? ''))
          veto('test_settings', `This change ${did} pytest's settings in ${path}.`, path);
      }
      if (/(^|\/)\.env(\.[^/]*)?$/.test(path) && /^\s*(?:export\s+)?NODE_OPTIONS\s*=/m.test(candidate.text(path) ?? ''))
        veto('test_settings', `${path} sets NODE_OPTIONS, which every run of Node obeys.`, path);
      if (
        /(^|\/)vite\.config\.[mc]?[jt]s$/.test(path) &&
        status !== 'added' &&
        /\btest\s*:/.test(`${against?.text(path) ?? ''}${candidate.text(path) ?? ''}`)
      ) {
        veto('test_settings', `This change ${did} ${path}, which holds how tests are run.`, path);
      }
      if (/(^|\/)tsconfig[^/]*\.json$/.test(path) && against !== null && status !== 'added') {
        const options = loosened(against.text(path), candidate.text(path));
        if (options.length > 0) veto('types_loosened', `${path} checks less than before: ${options.join(', ')}.`, path);
      }
      const link = candidate.files.get(path);
      if (
        typeof link === 'string' &&
        (posix.isAbsolute(link) || posix.normalize(posix.join(posix.dirname(path), link)).startsWith('..'))
      ) {
        veto('link_outside', `${path} is a link to ${link.slice(0, 200)}, outside the repository.`, path);
      }
      if (status !== 'removed' && (isScript(path) || isPython(path))) {
        let comments: ReadonlyMap<number, string> | undefined;
        const lines = (candidate.text(path) ?? '').split('\n');
        for (const [index, line] of lines.entries()) {
          if (!addedLines.has(index + 1)) continue;
          const comment = inComment.exec(line)?.[0];
          const hit = comment === undefined ? undefined : suppressions.find(([pattern]) => pattern.test(comment));
          if (hit === undefined) continue;
          comments ??= commentsIn(path, candidate.text(path) ?? '');
          if (!hit[0].test(comments.get(index + 1) ?? '')) continue; // only a text that holds such words
          if (isMoved(line)) continue;
          // One rule on one line is a remark, and so is what takes a little more and says why; everything else takes eyes away from what comes later.
          const { named, says } = silencedBy(comment ?? '');
          const above = /^\s*(?:\/\/|\/?\*|#)/.test(lines[index - 1] ?? '') ? (comments.get(index) ?? '') : '';
          const isSaidAbove = aWord.test(above) && !suppressions.some(([pattern]) => pattern.test(above));
          const isReasoned = named !== null && (isSaidAbove || says);
          const isRemark = isReasoned || named === 1 || (named !== null && isTestFile(path));
          const why =
            named === null ? ', and more than the one thing that it would have said' : ', and nothing says why';
          findings.push(
            findingOf({
              check: 'tampering',
              rule: 'tampering.suppression',
              // A person may silence more than that, and pays for it like for a remark.
              level: isRemark || approvedBy !== null ? 'warning' : 'error',
              message: `A tool is silenced here${isReasoned ? '' : why}: ${hit[1]}.${isRemark || approvedBy === null ? '' : ` Let through by ${approvedBy}.`}`,
              path,
              line: index + 1,
              key: line.trim(),
              remedy: isReasoned
                ? 'Correct what the tool says instead of silencing it.'
                : 'Correct what the tool says; or silence one rule on one line and say why.',
            }),
          );
        }
      }
    }
    for (const { path } of changes) {
      if (
        against === null ||
        posix.basename(path) !== 'package.json' ||
        !(path === 'package.json' || against.has(path))
      )
        continue;
      for (const { rule, key, message } of manifestTampering(against, candidate, path))
        veto(rule, path === 'package.json' ? message : `${path}: ${message}`, path, key);
    }
    for (const path of npmLockNames) {
      if (!changes.some((change) => change.path === path) || !candidate.has(path)) continue;
      const problemsOf = (tree: SourceTree | null): string[] =>
        tree === null ? [] : lockProblems(npmLock(tree, path) ?? {}, null, tree.json('package.json') ?? {});
      const known = new Set(problemsOf(against));
      for (const problem of problemsOf(candidate)) {
        if (!known.has(problem) && (installed.status === 'refused' || !/is not a registry tarball/.test(problem)))
          veto('lock_source', `${path}: ${problem}.`, path, problem);
      }
    }
    for (const path of foreignLockNames) {
      if (!changes.some((change) => change.path === path && change.status !== 'removed')) continue;
      const before = (against === null ? null : foreignLock(against, path))?.packages ?? [];
      const host = npmRegistry === null ? null : new URL(npmRegistry).host;
      const packages = foreignLock(candidate, path)?.packages ?? [];
      for (const { key, message } of foreignLockProblems(path, packages, before, host))
        veto('lock_source', `${path}: ${message}.`, path, key);
    }
    const vetoes = findings.filter((each) => each.veto).length;
    const approved = findings.filter((each) => each.level === 'note').length;
    const silenced = findings.length - vetoes - approved;
    const letThrough = `${approved} change${approved === 1 ? '' : 's'} to what judges changes, let through by ${approvedBy}`;
    return outcome(
      // A remark on one line costs points; the check is one that is required, and fails for more than that.
      findings.some((each) => each.level === 'error') ? 'failed' : 'passed',
      [
        ...(vetoes + silenced > 0
          ? [`${vetoes} change${vetoes === 1 ? '' : 's'} to what judges changes, ${silenced} silenced tools`]
          : []),
        ...(approved > 0 ? [letThrough] : []),
      ].join('; ') || 'nothing that judges changes was touched',
      findings,
      { vetoes, suppressions: silenced, approved },
    );
  },
};

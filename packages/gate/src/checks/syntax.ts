import type { Finding } from '@muster/contracts';
import type { TreeRun } from '../project/tree-run.ts';
import { isPython } from '../source/paths.ts';
import type { SourceTree } from '../source/tree.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';

/** What a language's own tools say of one file, `$1`. None of them runs what is in it, and none reads the project's settings. */
interface Grammar {
  readonly language: string;
  readonly has: (path: string, firstLine: string) => boolean;
  /** Fails with words where the file is none of the language. */
  readonly parser: { readonly program: string; readonly line: string };
  /** The first that is installed; `file:line:column: message`. */
  readonly linters: readonly { readonly program: string; readonly line: string; readonly code: RegExp }[];
}

const shellOf = (path: string, firstLine: string): 'sh' | 'bash' | null => {
  const named = /^#!.*[/ ](\w+)/.exec(firstLine)?.[1];
  if (named === 'sh' || named === 'dash') return 'sh';
  if (named === 'bash') return 'bash';
  // Without a first line that says so, `.sh` is what bash reads, which is nearly all of what others do.
  return named === undefined && /\.(?:sh|bash)$/.test(path) ? 'bash' : null;
};
const shellcheck = (dialect: string): Grammar['linters'][number] => ({
  program: 'shellcheck',
  line: `shellcheck --norc --format=gcc --severity=warning --shell=${dialect} "$1"`,
  code: /\[(SC\d+)\]$/,
});
const ending =
  (...names: string[]) =>
  (path: string): boolean =>
    names.some((name) => path.endsWith(`.${name}`));

const grammars: readonly Grammar[] = [
  {
    language: 'shell',
    has: (path, line) => shellOf(path, line) === 'sh',
    parser: { program: 'sh', line: 'sh -n "$1"' },
    linters: [shellcheck('sh')],
  },
  {
    language: 'bash',
    has: (path, line) => shellOf(path, line) === 'bash',
    parser: { program: 'bash', line: 'bash -n "$1"' },
    linters: [shellcheck('bash')],
  },
  {
    language: 'Python',
    has: isPython,
    parser: {
      program: 'python3',
      line: 'python3 -I -c \'import ast, sys; ast.parse(open(sys.argv[1], "rb").read(), sys.argv[1])\' "$1"',
    },
    linters: [
      {
        program: 'ruff',
        line: 'ruff check --isolated --no-cache --quiet --ignore-noqa --select=F --output-format=concise "$1"',
        code: /^(F\d+)\b/,
      },
      { program: 'pyflakes3', line: 'pyflakes3 "$1"', code: /^()/ },
    ],
  },
  { language: 'Ruby', has: ending('rb'), parser: { program: 'ruby', line: 'ruby -c "$1"' }, linters: [] },
  { language: 'PHP', has: ending('php'), parser: { program: 'php', line: 'php -n -l "$1"' }, linters: [] },
  { language: 'Go', has: ending('go'), parser: { program: 'gofmt', line: 'gofmt -e "$1" >/dev/null' }, linters: [] },
  { language: 'Lua', has: ending('lua'), parser: { program: 'luac', line: 'luac -p "$1"' }, linters: [] },
];

/** Not a matter of style: when the line is run, it fails. What a tool puts into every module has two strokes. */
const missing = /^(?:F821 )?undefined name [`'"](?!__|_['"`]|unicode|reveal_type|WindowsError)/i;
const mostFiles = 200;
const secondsEach = 10;
const place = 'muster-syntax';
const quoted = (path: string): string => `'${path.replaceAll("'", "'\\''")}'`;

interface Look {
  /** null: there is no such program in the sandbox. */
  parsed: { ok: boolean; said: string } | null;
  linted: { program: string; said: string } | null;
}
interface File {
  readonly path: string;
  readonly grammar: Grammar;
}

/** All of them in one copy of the tree. What is said is told in base64, so that no file can say something in our name. */
async function lookAt(run: TreeRun, files: readonly File[]): Promise<Map<string, Look>> {
  const say = (name: string, at: number, program: string, line: string, path: string): string =>
    `command -v ${program} >/dev/null && { timeout -s KILL ${secondsEach} sh -c ${quoted(line)} sh ${quoted(`./${path}`)} >/tmp/said 2>&1 </dev/null; ` +
    `printf '\\n${place} ${name} ${at} ${program} %s ' $?; head -c 20000 /tmp/said | base64 -w0; }`;
  const script = files
    .map(({ path, grammar: { parser, linters } }, at) => {
      const lint = linters.map(({ program, line }) => say('lint', at, program, line, path)).join(' || ');
      return `${say('parse', at, parser.program, parser.line, path)}; ${lint === '' ? 'true' : lint}`;
    })
    .join('\n');
  const { stdout } = await run.print(script, { outputBytes: 16_000_000 });
  const looks = new Map(files.map(({ path }): [string, Look] => [path, { parsed: null, linted: null }]));
  const form = new RegExp(`^${place} (parse|lint) (\\d+) (\\S+) (\\d+) ([\\w+/=]*)$`, 'gm');
  for (const [, name, at, program, code, encoded] of stdout.matchAll(form)) {
    const look = looks.get(files[Number(at)]?.path ?? '');
    if (look === undefined) continue;
    const said = Buffer.from(encoded!, 'base64').toString('utf8');
    // Whatever took too long has said nothing about the file.
    if (name === 'parse') look.parsed = code === '137' ? null : { ok: code === '0', said };
    else look.linted = { program: program!, said };
  }
  return looks;
}

const filesOf = (tree: SourceTree, paths: readonly string[]): File[] =>
  paths.flatMap((path) => {
    const text = tree.text(path);
    if (text === null) return [];
    const grammar = grammars.find((each) => each.has(path, text.slice(0, 200).split('\n')[0] ?? ''));
    return grammar === undefined ? [] : [{ path, grammar }];
  });

/** Does what the change touches still parse, and what do linters of its language say about added lines, by the tools that are installed? */
export const syntaxCheck: Check = {
  name: 'syntax',
  category: 'style',
  languages: ['*'],
  needs: ['sandbox'],
  purposes: changePurposes,
  async run({ policy, against, candidate, changes, run, baseRun }) {
    if (policy.checks.lint === false) return outcome('not_run', 'switched off in muster.yaml');
    const touched = changes.filter(
      ({ status, path }) => status !== 'removed' && !/(^|\/)(node_modules|vendor)\//.test(path),
    );
    const files = filesOf(
      candidate,
      touched.map(({ path }) => path),
    ).slice(0, mostFiles);
    if (files.length === 0) return outcome('passed', 'the change holds nothing in shell, Python, Ruby, PHP, Go or Lua');
    if (run === null) return outcome('not_run', 'the project could not be made ready to run');
    const looks = await lookAt(run, files);
    const languages = (wanted: (look: Look) => boolean): string[] => [
      ...new Set(files.filter(({ path }) => wanted(looks.get(path)!)).map(({ grammar }) => grammar.language)),
    ];
    const unseen = languages(({ parsed }) => parsed === null);
    if (files.every(({ path }) => looks.get(path)?.parsed === null))
      return outcome('not_run', `nothing that reads ${unseen.join(', ')} is installed where checks run`);

    const findings: Finding[] = [];
    const broken = files.filter(({ path }) => looks.get(path)?.parsed?.ok === false);
    const known =
      against === null
        ? []
        : filesOf(
            against,
            broken.map(({ path }) => path),
          );
    const before = known.length === 0 ? null : await baseRun();
    const then = before === null ? new Map<string, Look>() : await lookAt(before, known);
    for (const { path, grammar } of broken) {
      if (then.get(path)?.parsed?.ok === false) continue;
      const said = looks.get(path)!.parsed!.said;
      const line = /(?:: ?| line |, line )(\d+)\b/.exec(said)?.[1];
      findings.push(
        findingOf({
          check: 'syntax',
          rule: 'syntax.broken',
          level: 'error',
          message: `This is no ${grammar.language} any more, says ${grammar.parser.program}: ${said.trim().slice(0, 1000)}`,
          path,
          line: line === undefined ? null : Math.max(1, Number(line)),
          remedy: `Make it parse: ${grammar.parser.line.replace('"$1"', path)}`,
          key: 'broken',
        }),
      );
    }
    for (const { path, grammar } of files) {
      const { parsed, linted } = looks.get(path)!;
      if (linted === null || parsed?.ok !== true) continue;
      const added = touched.find((each) => each.path === path)!.addedLines;
      const code = grammar.linters.find(({ program }) => program === linted.program)!.code;
      for (const [, line, message] of linted.said.matchAll(/^[^\n:]+:(\d+):\d+:? (.+)$/gm)) {
        if (!added.has(Number(line))) continue;
        const rule = code.exec(message!)?.[1];
        findings.push(
          findingOf({
            check: 'syntax',
            rule: `syntax.${rule === undefined || rule === '' ? linted.program : rule}`,
            level: missing.test(message!) ? 'error' : 'warning',
            message: `${linted.program}: ${message!.replace(/^(?:warning|error): /, '')}`,
            path,
            line: Number(line),
            remedy: 'Write it so that the linter has nothing to say.',
          }),
        );
      }
    }
    const by = [...new Set(files.flatMap(({ path, grammar }) => [looks.get(path)?.parsed === null ? [] : grammar.parser.program, looks.get(path)?.linted?.program ?? []].flat()))]; // prettier-ignore
    const rest = touched.length > mostFiles ? `; only the first ${mostFiles} files were looked at` : '';
    return outcome(
      findings.length > 0 ? 'failed' : 'passed',
      `${files.length} files looked at by ${by.join(', ')}${unseen.length === 0 ? '' : `; nothing here reads ${unseen.join(', ')}`}${rest}`,
      findings,
      { files: files.length, broken: broken.length, unseen: files.filter(({ path }) => looks.get(path)?.parsed === null).length }, // prettier-ignore
      { name: by.join(', '), version: 'as installed where checks run' },
    );
  },
};

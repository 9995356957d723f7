import type { Hit } from '../source/fresh.ts';
import { freshHits } from '../source/fresh.ts';
import { isProductSource, isPython, isScript, isShell, isTypeScript } from '../source/paths.ts';
import { isExponential } from '../source/patterns.ts';
import { reachedFiles } from '../source/reached.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';
import { pythonSecurity } from './security-python.ts';
import { scriptSecurity } from './security-script.ts';
import { shellSecurity } from './security-shell.ts';

/** Rules of eslint-plugin-security that say something about a line by itself; its others flag every file access and index. */
const pluginRules: Readonly<Record<string, string>> = {
  'detect-bidi-characters': 'Characters that turn the reading direction make this line read otherwise than it runs.',
  'detect-buffer-noassert': 'Bounds of a buffer are not checked.',
  'detect-disable-mustache-escape': 'A template engine is told not to escape.',
  'detect-new-buffer': 'new Buffer(…) may show old memory.',
  'detect-non-literal-require': 'What is loaded as code depends on a value.',
  'detect-possible-timing-attacks': 'How long this comparison takes tells how much of the secret is right.',
  'detect-pseudoRandomBytes': 'These bytes can be foreseen.',
  'detect-unsafe-regex': 'Some inputs keep this pattern busy for ages.',
};

/**
 * What a file must hold for one of these rules to have anything to say: a direction mark, a name that they look for (or an escape, in which
 * one can be written), or what may be a pattern. Parsing is most of what they cost, and most files of a large change are data.
 */
const mayMatter =
  /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]|\\u|(?:read|write)(?:U?Int|Float|Double)|Buffer|escapeMarkup|require|pseudoRandomBytes|RegExp|password|secret|api|token|auth|pass|hash|\/(?![/*])[^\n]*\//i;

/** Of a file: each is taken apart, which takes its time. */
const mostPatterns = 20;

/** ESLint as a library on text: no configuration but ours is looked for, and nothing of the project is loaded. */
async function pluginReader(): Promise<(path: string, text: string) => Hit[]> {
  const [{ Linter }, { default: plugin }, parser] = await Promise.all([
    import('eslint'),
    import('eslint-plugin-security'),
    import('@typescript-eslint/parser'),
  ]);
  const linter = new Linter({ configType: 'flat' });
  const rules = Object.fromEntries(Object.keys(pluginRules).map((name) => [`security/${name}`, 'warn' as const]));
  return (path, text) => {
    if (!mayMatter.test(text)) return [];
    const script = /\.c[jt]s$/.test(path) ? 'commonjs' : 'module';
    const messages = linter.verify(
      text,
      [
        {
          files: ['**/*.*'],
          plugins: { security: plugin },
          rules,
          linterOptions: { noInlineConfig: true, reportUnusedDisableDirectives: 'off' },
          languageOptions: {
            sourceType: script,
            parserOptions: { ecmaFeatures: { jsx: path.endsWith('x') || !isTypeScript(path) } },
            parser,
          },
        },
      ],
      { filename: path },
    );
    const lines = text.split('\n');
    let looked = 0;
    const doubles = (from: number, at: number, until: number, end: number): boolean =>
      ++looked <= mostPatterns &&
      isExponential(
        from === until
          ? lines[from - 1]!.slice(at - 1, end - 1)
          : [lines[from - 1]!.slice(at - 1), ...lines.slice(from, until - 1), lines[until - 1]!.slice(0, end - 1)].join(
              '\n',
            ),
      );
    return messages.flatMap((each): Hit[] => {
      const name = each.ruleId?.replace(/^security\//, '') ?? '';
      const message = pluginRules[name];
      if (message === undefined) return [];
      const isProven =
        name === 'detect-unsafe-regex' &&
        doubles(each.line, each.column, each.endLine ?? each.line, each.endColumn ?? 0);
      return [
        {
          rule: `security.${name.replace(/^detect-/, '').replaceAll('-', '_')}`,
          level: isProven || name === 'detect-bidi-characters' ? 'error' : 'warning',
          message: isProven
            ? 'With every character of some inputs, the time that this pattern takes doubles.'
            : message,
          line: Math.max(1, each.line),
          remedy: isProven
            ? 'Let each character be taken in one way only: no repetition of what repeats the same.'
            : 'Write it another way; if it is meant so, a reviewer has to see why.',
          key: (lines[each.line - 1] ?? '').trim().slice(0, 300),
        },
      ];
    });
  };
}

/** Vulnerable patterns that the change adds. They are weighed and never taken for proof: code without them may be unsafe all the same. */
export const securityCheck: Check = {
  name: 'security',
  category: 'security',
  languages: ['typescript', 'javascript', 'python', 'shell'],
  needs: [],
  purposes: changePurposes,
  async run({ against, candidate, changes }) {
    const reached = reachedFiles(candidate);
    const applies = (path: string): boolean =>
      isProductSource(path) || isShell(path) || (reached.has(path) && (isScript(path) || isPython(path)));
    const byPlugin = changes.some(({ path, status }) => status !== 'removed' && applies(path) && isScript(path))
      ? await pluginReader()
      : () => [];
    const found = await freshHits(changes, against, candidate, applies, (path, text) =>
      isPython(path)
        ? pythonSecurity(path, text)
        : isShell(path)
          ? shellSecurity(text)
          : [...scriptSecurity(path, text), ...byPlugin(path, text)],
    );
    const findings = found.map(({ path, line, rule, level, veto, message, remedy, key }) =>
      findingOf({ check: 'security', rule, level, veto: veto === true, message, path, line, remedy, key }),
    );
    const failed = findings.some((each) => each.level === 'error');
    return outcome(
      failed ? 'failed' : 'passed',
      findings.length === 0
        ? 'no known vulnerable pattern is added, which does not prove that there is none'
        : `${findings.length} vulnerable patterns added`,
      findings,
      { found: findings.length, vetoes: findings.filter((each) => each.veto).length },
    );
  },
};

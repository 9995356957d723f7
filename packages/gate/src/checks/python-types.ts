import type { TreeRun, TypeError } from '../project/tree-run.ts';
import { isPython } from '../source/paths.ts';
import type { SourceTree } from '../source/tree.ts';
import { findingOf, outcome, type CheckContext, type CheckOutcome } from './check.ts';

const list = 'muster-python-files';
const mark = 'muster-mypy';
/** Beyond this a run takes minutes, for a language that most of its projects write without types. */
const mostFiles = 2000;

/** What can be a module: mypy gives up on all of a project where one name cannot be. */
const modulesIn = (tree: SourceTree): string[] =>
  [...tree.files]
    .filter(([path, link]) => link === null && isPython(path) && /^(?:[A-Za-z_]\w*\/)*[A-Za-z_]\w*\.pyi?$/.test(path))
    .map(([path]) => path)
    .sort();

export const holdsPython = (tree: SourceTree): boolean => modulesIn(tree).length > 0;

/** The project has mypy look at it: what mypy says of it is meant. In the order in which mypy looks for them. */
function settingsOf(tree: SourceTree): { path: string; text: string; namesFiles: boolean } | null {
  for (const path of ['mypy.ini', '.mypy.ini', 'pyproject.toml', 'setup.cfg']) {
    const text = tree.text(path) ?? '';
    const ours = /^\[(?:tool\.)?mypy\]\s*$[^]*/m.exec(text)?.[0];
    if (ours !== undefined) return { path, text, namesFiles: /^\s*(?:files|packages|modules)\s*=/m.test(ours) };
  }
  return null;
}
type Settings = ReturnType<typeof settingsOf>;

/** With these alone mypy says of each file what follows from it and what it imports. */
const ofOneFile =
  /^(?:strict\w*|disallow_\w+|warn_\w+|check_untyped_defs|no_implicit_\w+|implicit_\w+|ignore_missing_imports|ignore_errors|python_version|platform|show_\w+|pretty|(?:enable|disable)_error_code|allow_\w+|local_partial_types|extra_checks|module)$/;

/** Nothing is looked for elsewhere, left out, or made of by a program of the project's. */
function asksFileByFile(settings: Settings): boolean {
  let ours = false;
  return (settings?.text ?? '').split('\n').every((line) => {
    const section = /^\s*\[+\s*([^\]]+)/.exec(line)?.[1];
    if (section !== undefined) ours = /^(?:tool\.)?"?mypy\b/.test(section);
    const key = /^\s*([\w.]+)\s*[=:]/.exec(line)?.[1];
    return !ours || section !== undefined || key === undefined || ofOneFile.test(key);
  });
}

interface Looked {
  errors: TypeError[];
  version: string;
  exitCode: number | null;
  said: string;
  ofSourceAlone: boolean;
}

/** null: there is no mypy where checks run. */
async function lookAt(run: TreeRun, tree: SourceTree, settings: Settings): Promise<Looked | null> {
  const form =
    '--no-incremental --cache-dir=/dev/null --show-error-codes --no-error-summary --no-color-output --no-pretty --hide-error-context --ignore-missing-imports';
  const files = settings?.namesFiles === true ? '' : `--explicit-package-bases --namespace-packages @${list}`;
  // By the branch's settings: those of the change are a file of its own like any other.
  const kept = settings === null ? null : `muster-${settings.path.replace(/^\./, '')}`;
  const what = `--config-file=${kept ?? ''} ${files}`;
  const line = `command -v mypy >/dev/null || { echo '${mark} none'; exit 0; }; echo "${mark} $(mypy --version)"; MYPYPATH=src mypy ${form} ${what}; echo "${mark} ended $?"`;
  const { stdout, ofSourceAlone } = await run.show(line, {
    added: new Map([
      [list, modulesIn(tree).join('\n')],
      ...(kept === null || settings === null ? [] : [[kept, settings.text] as const]),
    ]),
  });
  if (stdout.includes(`${mark} none`)) return null;
  const errors = [...stdout.matchAll(/^([^\s:][^:\n]*):(\d+)(?::\d+)?: error: (.+?)(?: {2}\[([\w-]+)\])?$/gm)].map(
    (match) => ({ path: match[1]!, line: Number(match[2]), code: match[4] ?? 'misc', message: match[3]! }),
  );
  const ended = new RegExp(`^${mark} ended (\\d+)$`, 'm').exec(stdout)?.[1];
  return {
    errors,
    version: new RegExp(`^${mark} mypy (\\S+)`, 'm').exec(stdout)?.[1] ?? 'unknown',
    exitCode: ended === undefined ? null : Number(ended),
    said: stdout.slice(-500),
    ofSourceAlone,
  };
}

const gaveUp = (looked: Looked | null): boolean => looked !== null && (looked.exitCode === null || looked.exitCode > 1);

/**
 * Type errors of Python that the branch has not, by the mypy that is installed where checks run. They cost points as errors where the
 * project has settings of mypy; elsewhere they are hints, since nobody there has promised that types agree.
 */
export async function pythonTypes(context: CheckContext): Promise<CheckOutcome> {
  const { purpose, candidate, against, changes, run, baseRun, cleanPython } = context;
  if (purpose !== 'base' && !changes.some(({ path }) => isPython(path) || /(?:mypy\.ini|pyproject\.toml|setup\.cfg)$/.test(path)))
    return outcome('passed', 'the change touches no Python'); // prettier-ignore
  if (run === null) return outcome('not_run', 'the project could not be made ready to run');
  const count = modulesIn(candidate).length;
  if (count > mostFiles)
    return outcome('not_run', `mypy is not run on more than ${mostFiles} files; there are ${count}`);
  const settings = settingsOf(against ?? candidate);
  const clean = asksFileByFile(settings) ? cleanPython : null;
  const found = clean?.find(settings) ?? null;
  if (found !== null) return { ...(found.outcome as CheckOutcome), reused: found.reused };
  const now = await lookAt(run, candidate, settings);
  if (now === null) return outcome('not_run', 'mypy is not installed where checks run');
  const tool = { name: 'mypy', version: now.version };
  const before = purpose === 'base' || against === null ? null : await baseRun();
  let looked: Promise<Looked | null> | undefined;
  const lookBefore = (): Promise<Looked | null> =>
    (looked ??= before === null || against === null ? Promise.resolve(null) : lookAt(before, against, settings));
  // What it could read before and cannot now is an error like any other, where it says which line it is.
  if (gaveUp(now) && (purpose === 'base' || now.errors.length === 0 || gaveUp(await lookBefore()))) {
    // Nobody there has promised that mypy can read it, or it could not before either.
    const never = settings === null || purpose === 'base' || gaveUp(await lookBefore());
    const why = `mypy gave up: ${now.said.trim().slice(0, 500)}`;
    return outcome(never ? 'not_run' : 'inconclusive', why, [], {}, tool);
  }
  if (purpose === 'base' || now.errors.length === 0) {
    const told = outcome(now.errors.length === 0 ? 'passed' : 'failed', `${now.errors.length} type errors in Python`, [], { errors: now.errors.length, new: 0 }, tool); // prettier-ignore
    if (now.errors.length === 0 && now.exitCode === 0 && now.ofSourceAlone) clean?.keep(settings, told);
    return told;
  }
  const then = await lookBefore();
  if (then !== null && gaveUp(then))
    return outcome('not_run', `mypy gave up on the branch: ${then.said.trim().slice(0, 500)}`, [], {}, tool);
  // Lines move, so an error is known by file, code and text, and counted.
  const known = new Map<string, number>();
  const keyOf = ({ path, code, message }: TypeError): string => `${path} ${code} ${message}`;
  for (const error of then?.errors ?? []) known.set(keyOf(error), (known.get(keyOf(error)) ?? 0) + 1);
  const fresh = now.errors.filter((error) => {
    const left = known.get(keyOf(error)) ?? 0;
    known.set(keyOf(error), left - 1);
    return left <= 0;
  });
  return outcome(
    fresh.length > 0 && settings !== null ? 'failed' : 'passed',
    fresh.length === 0
      ? `${now.errors.length} type errors in Python, all there before`
      : `${fresh.length} new type errors in Python`,
    fresh.map((error) =>
      findingOf({
        check: 'types',
        rule: `types.${error.code}`,
        level: settings !== null ? 'error' : 'warning',
        message: error.message,
        path: error.path,
        line: Math.max(1, error.line),
        remedy: 'Make the types agree; the branch had no such error.',
      }),
    ),
    { errors: now.errors.length, new: fresh.length },
    tool,
  );
}

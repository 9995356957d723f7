import { everyPurpose, findingOf, outcome, type Check, type CheckContext, type CheckOutcome } from './check.ts';
import { holdsPython, pythonTypes } from './python-types.ts';

/** Are there type errors that the branch has not? tsc for whom has a tsconfig.json, mypy for Python. */
export const typesCheck: Check = {
  name: 'types',
  category: 'types',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: everyPurpose,
  async run(context) {
    const { policy, candidate } = context;
    const python = policy.checks.types && holdsPython(candidate) ? await pythonTypes(context) : null;
    if (python === null) return scriptTypes(context);
    if (!candidate.has('tsconfig.json')) return python;
    const script = scriptTypes(context);
    // Python in a project of TypeScript is a script or two more often than not: what could not be said of it is said beside the rest.
    const both = [script.status, python.status];
    return {
      ...script,
      status: both.includes('failed') ? 'failed' : script.status,
      summary: `${script.summary}; ${python.summary}`,
      findings: [...script.findings, ...python.findings],
      metrics: Object.fromEntries(['errors', 'new'].map((name) => [name, (script.metrics[name] ?? 0) + (python.metrics[name] ?? 0)])), // prettier-ignore
    };
  },
};

function scriptTypes({ purpose, candidate, candidateFacts, baseFacts, installed, policy }: CheckContext): CheckOutcome {
  const types = candidateFacts?.types ?? null;
  if (types === null) {
    return outcome(
      'not_run',
      candidateFacts?.notes.find((note) => note.startsWith('types')) ??
        (!policy.checks.types
          ? 'switched off in muster.yaml'
          : !candidate.has('tsconfig.json')
            ? 'the project has no tsconfig.json'
            : installed.has('typescript')
              ? 'not run'
              : 'the project does not depend on typescript'),
    );
  }
  const tool = { name: 'tsc', version: 'the project’s own' };
  if (!types.ok && types.errors.length === 0)
    return outcome(
      'inconclusive',
      `tsc ended with exit code ${types.exitCode} and no error that can be read`,
      [],
      {},
      tool,
    );
  // Lines move, so an error is known by file, code and text, and counted.
  const known = new Map<string, number>();
  const keyOf = (error: { path: string; code: string; message: string }): string =>
    `${error.path} ${error.code} ${error.message}`;
  for (const error of baseFacts?.types?.errors ?? []) known.set(keyOf(error), (known.get(keyOf(error)) ?? 0) + 1);
  const fresh = types.errors.filter((error) => {
    const left = known.get(keyOf(error)) ?? 0;
    known.set(keyOf(error), left - 1);
    return left <= 0;
  });
  const metrics = { errors: types.errors.length, new: purpose === 'base' ? 0 : fresh.length };
  if (purpose === 'base')
    return outcome(types.ok ? 'passed' : 'failed', `${types.errors.length} type errors`, [], metrics, tool);
  if (fresh.length === 0)
    return outcome(
      'passed',
      types.errors.length === 0 ? 'no type errors' : `${types.errors.length} type errors, all there before`,
      [],
      metrics,
      tool,
    );
  return outcome(
    'failed',
    `${fresh.length} new type error${fresh.length === 1 ? '' : 's'}`,
    fresh.map((error) =>
      findingOf({
        check: 'types',
        rule: `types.${error.code}`,
        level: 'error',
        message: error.message,
        path: error.path,
        line: Math.max(1, error.line),
        remedy: 'Make the types agree; the branch had no such error.',
      }),
    ),
    metrics,
    tool,
  );
}

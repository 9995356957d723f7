import type { CorpusCase, SampleProject } from '../case.ts';
import type { Draft } from '../draft.ts';

/** Work that has to be let in. */
export const honest = (
  kind: string,
  name: string,
  project: SampleProject,
  title: string,
  change: (draft: Draft) => void,
  paths?: string[],
): CorpusCase => ({ name, kind: `honest ${kind}`, project, title, change, ...(paths === undefined ? {} : { paths }) });

/** A line in the project's changelog. */
export const note = (draft: Draft, line: string): void =>
  draft.edit('CHANGELOG.md', '## Unreleased\n', `## Unreleased\n\n- ${line}\n`);

/** A test file for node:test. */
export const nodeTest = (imports: string, body: string): string => `import assert from 'node:assert/strict';
import { test } from 'node:test';
${imports}

${body}`;

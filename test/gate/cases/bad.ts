import type { CorpusCase, SampleProject } from '../case.ts';
import type { Draft } from '../draft.ts';
import { pad, type Size } from '../padding.ts';

type Change = (draft: Draft) => void;

/** One fault, alone, among nineteen lines of honest work, and among two thousand. */
export function bad(
  kind: string,
  name: string,
  project: SampleProject,
  refusedBy: string[],
  change: Change,
  more: { title?: string; paths?: string[]; sizes?: readonly Size[]; branch?: Change; unrun?: boolean } = {},
): CorpusCase[] {
  return (more.sizes ?? [1]).map((size) => ({
    name: size === 1 ? name : `${name}, among ${size} lines`,
    kind,
    project,
    title: more.title ?? 'Tidy up',
    ...(more.paths === undefined ? {} : { paths: more.paths }),
    ...(more.branch === undefined ? {} : { branch: more.branch }),
    ...(more.unrun === undefined ? {} : { unrun: more.unrun }),
    refusedBy,
    change(draft) {
      change(draft);
      pad(draft, project, size);
    },
  }));
}

export const everySize: readonly Size[] = [1, 19, 2000];

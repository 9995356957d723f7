import type { CorpusCase } from '../case.ts';
import { pad, type Size } from '../padding.ts';

const sizes: readonly Size[] = [1, 19, 2000];

/** Kinds that begin only where there is so much of it: no smaller one would be at fault. */
export const beginsAt: Readonly<Record<string, { size: Size; because: string }>> = {
  'generated bulk': { size: 2000, because: 'nineteen lines are no bulk' },
  'lines that no test runs': { size: 19, because: 'two lines are forgiven' },
  duplication: { size: 19, because: 'a copy of fewer than ten lines is none' },
};

const sizeOf = ({ name }: CorpusCase): Size => {
  const among = /, among (19|2000) lines$/.exec(name)?.[1];
  return among === '19' ? 19 : among === '2000' ? 2000 : 1;
};

/** For each kind of fault the sizes that it is not there in yet: its first case, among as many honest lines. */
export function inEverySize(cases: readonly CorpusCase[]): CorpusCase[] {
  const bad = cases.filter(({ refusedBy }) => refusedBy !== undefined);
  return [...new Set(bad.map(({ kind }) => kind))].flatMap((kind) => {
    const ofKind = bad.filter((each) => each.kind === kind);
    const known = new Set(ofKind.map(sizeOf));
    const first = ofKind[0]!;
    return sizes
      .filter((size) => size > 1 && !known.has(size) && size >= (beginsAt[kind]?.size ?? 1))
      .map((size) => ({
        ...first,
        name: `${first.name}, among ${size} lines`,
        change(draft) {
          first.change(draft);
          pad(draft, first.project, size);
        },
      }));
  });
}

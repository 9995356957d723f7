import Table from 'cli-table3';
import type { BenchDocument } from './document.ts';

/** The document for people: each measure with its share of what the machine allows. */
export function tableOf({ bench, machine, versions, measures }: BenchDocument): string {
  const peers = [...new Set(measures.flatMap((measure) => Object.keys(measure.peers)))];
  const table = new Table({
    head: ['measure', 'unit', '', 'ours', ...peers, 'limit', 'of limit', 'ratio'],
    style: { head: [], border: [] },
    colAligns: ['left', 'left', 'left', ...Array.from({ length: peers.length + 4 }, () => 'right' as const)],
  });
  for (const { name, unit, better, ours, peers: theirs, limit, ratio } of measures)
    table.push([
      name,
      unit,
      better === 'higher' ? '↑' : '↓',
      figure(ours),
      ...peers.map((peer) => figure(theirs[peer])),
      figure(limit),
      limit === null || limit === 0 || ours === 0
        ? ''
        : figure(Number((better === 'higher' ? ours / limit : limit / ours).toPrecision(2))),
      figure(ratio),
    ]);
  const facts = (of: Readonly<Record<string, string | number>>): string =>
    Object.entries(of)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ');
  const note = measures.some((measure) => measure.ratio !== null)
    ? 'ratio: ours against the best peer that counts; above 1 is better.\n'
    : '';
  return `${bench}\n${facts(machine)}\n${facts(versions)}\n${table.toString()}\n${note}`;
}

const figure = (value: number | null | undefined): string =>
  value == null ? '' : value.toLocaleString('en-GB', { maximumSignificantDigits: 6 });

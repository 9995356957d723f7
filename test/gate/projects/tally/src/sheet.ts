import { cellsIn, type Expression } from './ast';
import { evaluate } from './evaluate';
import type { Value } from './functions';
import { Parser } from './parser';
import { cellsBetween, placeOf } from './references';

export class CircleError extends Error {
  readonly cells: string[];

  constructor(cells: string[]) {
    super(`Cells wait for each other: ${cells.join(' → ')}`);
    this.cells = cells;
  }
}

interface Cell {
  source: string;
  expression: Expression | null;
  value: Value | undefined;
}

/** Cells and what they come to; values are kept until something that they read changes. */
export class Sheet {
  private readonly cells = new Map<string, Cell>();

  set(name: string, source: string): void {
    placeOf(name);
    const expression = source.startsWith('=') ? new Parser(source.slice(1)).parse() : null;
    this.cells.set(name, { source, expression, value: undefined });
    this.forget(name, new Set());
  }

  clear(name: string): void {
    this.cells.delete(name);
    this.forget(name, new Set());
  }

  source(name: string): string {
    return this.cells.get(name)?.source ?? '';
  }

  value(name: string): Value {
    return this.read(name, []);
  }

  /** Cells that read this one, directly. */
  dependents(name: string): string[] {
    return [...this.cells].filter(([, cell]) => this.reads(cell).has(name)).map(([each]) => each);
  }

  private reads(cell: Cell): Set<string> {
    if (cell.expression === null) return new Set();
    const { cells, ranges } = cellsIn(cell.expression);
    return new Set([...cells, ...ranges.flatMap(([from, to]) => cellsBetween(from, to))]);
  }

  private forget(name: string, seen: Set<string>): void {
    if (seen.has(name)) return;
    seen.add(name);
    for (const each of this.dependents(name)) {
      this.cells.get(each)!.value = undefined;
      this.forget(each, seen);
    }
  }

  private read(name: string, way: string[]): Value {
    const cell = this.cells.get(name);
    if (cell === undefined) return null;
    if (cell.value !== undefined) return cell.value;
    if (way.includes(name)) throw new CircleError([...way.slice(way.indexOf(name)), name]);
    cell.value = cell.expression === null ? literal(cell.source) : evaluate(cell.expression, (each) => this.read(each, [...way, name]));
    return cell.value;
  }
}

function literal(source: string): Value {
  const text = source.trim();
  if (text === '') return null;
  if (/^(?:true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  const number = Number(text);
  return Number.isNaN(number) ? source : number;
}

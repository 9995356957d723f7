export type TokenKind = 'number' | 'text' | 'cell' | 'name' | 'operator' | 'open' | 'close' | 'comma' | 'colon' | 'end';

export interface Token {
  kind: TokenKind;
  text: string;
  at: number;
}

export class FormulaError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(`${message} (at ${at + 1})`);
    this.at = at;
  }
}

const rules: readonly [TokenKind, RegExp][] = [
  ['number', /^\d+(?:\.\d+)?(?:e[+-]?\d+)?/i],
  ['text', /^"(?:[^"]|"")*"/],
  ['cell', /^[A-Z]{1,2}[1-9]\d*(?![A-Za-z0-9_(])/],
  ['name', /^[A-Za-z_]\w*/],
  ['operator', /^(?:<=|>=|<>|[-+*/^&=<>%])/],
  ['open', /^\(/],
  ['close', /^\)/],
  ['comma', /^[,;]/],
  ['colon', /^:/],
];

/** Splits a formula, without its leading equals sign. */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < source.length) {
    const space = /^\s+/.exec(source.slice(at));
    if (space !== null) {
      at += space[0].length;
      continue;
    }
    const rest = source.slice(at);
    const rule = rules.find(([, pattern]) => pattern.test(rest));
    if (rule === undefined) throw new FormulaError(`Unexpected ${rest[0]}`, at);
    const text = rule[1].exec(rest)![0];
    tokens.push({ kind: rule[0], text, at });
    at += text.length;
  }
  tokens.push({ kind: 'end', text: '', at });
  return tokens;
}

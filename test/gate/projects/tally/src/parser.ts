import type { Expression } from './ast';
import { FormulaError, tokenize, type Token, type TokenKind } from './tokens';

const binding: Record<string, number> = {
  '=': 1, '<>': 1, '<': 1, '>': 1, '<=': 1, '>=': 1,
  '&': 2,
  '+': 3, '-': 3,
  '*': 4, '/': 4,
  '^': 6,
};

/** A Pratt parser: each operator binds as tightly as the table says. */
export class Parser {
  private readonly tokens: Token[];
  private at = 0;

  constructor(source: string) {
    this.tokens = tokenize(source);
  }

  parse(): Expression {
    const expression = this.expression(0);
    this.expect('end');
    return expression;
  }

  private get current(): Token {
    return this.tokens[this.at]!;
  }

  private take(): Token {
    return this.tokens[this.at++]!;
  }

  private expect(kind: TokenKind): Token {
    if (this.current.kind !== kind) throw new FormulaError(`Expected ${kind}, found ${this.current.text || 'the end'}`, this.current.at);
    return this.take();
  }

  private expression(least: number): Expression {
    let left = this.prefix();
    for (;;) {
      const { kind, text } = this.current;
      if (kind !== 'operator') return left;
      if (text === '%') {
        this.take();
        left = { type: 'binary', operator: '/', left, right: { type: 'number', value: 100 } };
        continue;
      }
      const power = binding[text] ?? 0;
      if (power <= least) return left;
      this.take();
      left = { type: 'binary', operator: text, left, right: this.expression(text === '^' ? power - 1 : power) };
    }
  }

  private prefix(): Expression {
    const token = this.take();
    switch (token.kind) {
      case 'number':
        return { type: 'number', value: Number(token.text) };
      case 'text':
        return { type: 'text', value: token.text.slice(1, -1).replaceAll('""', '"') };
      case 'cell':
        return this.cellOrRange(token);
      case 'name':
        return this.call(token);
      case 'open': {
        const inner = this.expression(0);
        this.expect('close');
        return inner;
      }
      case 'operator':
        if (token.text === '-' || token.text === '+') return { type: 'unary', operator: token.text, operand: this.expression(5) };
        throw new FormulaError(`Unexpected ${token.text}`, token.at);
      default:
        throw new FormulaError(`Unexpected ${token.text || 'end'}`, token.at);
    }
  }

  private cellOrRange(token: Token): Expression {
    if (this.current.kind !== 'colon') return { type: 'cell', name: token.text };
    this.take();
    return { type: 'range', from: token.text, to: this.expect('cell').text };
  }

  private call(token: Token): Expression {
    this.expect('open');
    const args: Expression[] = [];
    if (this.current.kind !== 'close') {
      args.push(this.expression(0));
      while (this.current.kind === 'comma') {
        this.take();
        args.push(this.expression(0));
      }
    }
    this.expect('close');
    return { type: 'call', name: token.text.toUpperCase(), args, at: token.at };
  }
}

import type { Expression } from './ast';
import { functions, type Argument, type Value } from './functions';
import { cellsBetween } from './references';
import { FormulaError } from './tokens';

type Read = (cell: string) => Value;

const asNumber = (value: Value): number => (value === null ? 0 : typeof value === 'string' && value.trim() === '' ? Number.NaN : Number(value));

function binary(operator: string, left: Value, right: Value): Value {
  switch (operator) {
    case '+':
      return asNumber(left) + asNumber(right);
    case '-':
      return asNumber(left) - asNumber(right);
    case '*':
      return asNumber(left) * asNumber(right);
    case '/':
      return asNumber(left) / asNumber(right);
    case '^':
      return asNumber(left) ** asNumber(right);
    case '&':
      return `${left ?? ''}${right ?? ''}`;
    case '=':
      return left === right;
    case '<>':
      return left !== right;
    default:
      return compare(operator, asNumber(left), asNumber(right));
  }
}

function compare(operator: string, left: number, right: number): boolean {
  if (operator === '<') return left < right;
  if (operator === '>') return left > right;
  return operator === '<=' ? left <= right : left >= right;
}

/** What an expression comes to, cells being read as they are needed. */
export function evaluate(expression: Expression, read: Read): Value {
  const argument = (node: Expression): Argument =>
    node.type === 'range' ? cellsBetween(node.from, node.to).map(read) : evaluate(node, read);
  switch (expression.type) {
    case 'number':
    case 'text':
      return expression.value;
    case 'cell':
      return read(expression.name);
    case 'range':
      throw new FormulaError('A range stands only where a function takes it', 0);
    case 'unary': {
      const value = asNumber(evaluate(expression.operand, read));
      return expression.operator === '-' ? -value : value;
    }
    case 'binary':
      return binary(expression.operator, evaluate(expression.left, read), evaluate(expression.right, read));
    case 'call': {
      const called = functions[expression.name];
      if (called === undefined) throw new FormulaError(`There is no function ${expression.name}`, expression.at);
      return called(...expression.args.map(argument));
    }
  }
}

import ts from 'typescript';
import { parseScript, unwrapped } from '../source/functions.ts';
import { isPython } from '../source/paths.ts';
import { pythonDefinitions } from '../source/python.ts';

/** A function whose every answer stands in a table under all that it is given. */
export interface KnownTable {
  name: string;
  line: number;
  rows: readonly { key: string; answer: string }[];
}

/** The same whether somebody waits for it or not. */
const bare = (node: ts.Expression): ts.Expression => {
  const at = unwrapped(node);
  return ts.isAwaitExpression(at) ? bare(at.expression) : at;
};

/** Functions that look up what they answer under several things at once. One thing may be looked up in honest code: what a country is called. */
export const knownTables = (path: string, text: string): KnownTable[] =>
  isPython(path) ? inPython(text) : inScript(path, text);

function inScript(path: string, text: string): KnownTable[] {
  const file = parseScript(path, text);
  const consts = new Map<string, ts.Expression>();
  const declare = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer !== undefined)
      consts.set(node.name.text, bare(node.initializer));
    ts.forEachChild(node, declare);
  };
  declare(file);
  const meant = (node: ts.Expression): ts.Expression => {
    const at = bare(node);
    return (ts.isIdentifier(at) ? consts.get(at.text) : undefined) ?? at;
  };
  const rowsOf = (node: ts.Expression): KnownTable['rows'] => {
    const table = meant(node);
    if (ts.isCallExpression(table) && /^Object\.freeze$/.test(table.expression.getText(file)) && table.arguments[0])
      return rowsOf(table.arguments[0]);
    if (ts.isObjectLiteralExpression(table))
      return table.properties.flatMap((each) =>
        ts.isPropertyAssignment(each) ? [{ key: each.name.getText(file), answer: each.initializer.getText(file) }] : [],
      );
    const [list] = ts.isNewExpression(table) && table.expression.getText(file) === 'Map' ? (table.arguments ?? []) : [];
    if (list === undefined || !ts.isArrayLiteralExpression(list)) return [];
    return list.elements.flatMap((each) =>
      ts.isArrayLiteralExpression(each) && each.elements.length === 2
        ? [{ key: each.elements[0]!.getText(file), answer: each.elements[1]!.getText(file) }]
        : [],
    );
  };
  const isOfSeveral = (node: ts.Expression): boolean => {
    const key = meant(node);
    if (ts.isTemplateExpression(key)) return key.templateSpans.length >= 2;
    if (ts.isBinaryExpression(key)) return key.operatorToken.kind === ts.SyntaxKind.PlusToken;
    return ts.isCallExpression(key) && /^JSON\.stringify$|\.join$|^String$/.test(key.expression.getText(file));
  };
  const found: KnownTable[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const name =
        node.name?.getText(file) ?? (ts.isVariableDeclaration(node.parent) ? node.parent.name.getText(file) : null);
      const last = ts.isBlock(node.body) ? node.body.statements.at(-1) : undefined;
      const steps = ts.isBlock(node.body) ? node.body.statements.length : 1;
      let answer = ts.isBlock(node.body)
        ? last !== undefined && ts.isReturnStatement(last)
          ? last.expression
          : undefined
        : node.body;
      if (answer !== undefined) answer = bare(answer);
      while (
        answer !== undefined &&
        ts.isBinaryExpression(answer) &&
        /^(?:\?\?|\|\|)$/.test(answer.operatorToken.getText(file))
      )
        answer = bare(answer.left);
      const [table, key] =
        answer === undefined
          ? []
          : ts.isElementAccessExpression(answer)
            ? [answer.expression, answer.argumentExpression]
            : ts.isCallExpression(answer) &&
                ts.isPropertyAccessExpression(answer.expression) &&
                answer.expression.name.text === 'get'
              ? [answer.expression.expression, answer.arguments[0]]
              : [];
      if (name !== null && steps <= 3 && table !== undefined && key !== undefined && isOfSeveral(key))
        found.push({
          name,
          line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
          rows: rowsOf(table),
        });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

const longest = 20_000;
function inPython(text: string): KnownTable[] {
  return pythonDefinitions(text).flatMap(({ name, line, body }): KnownTable[] => {
    const code = body.filter((each) => !/^[rR]?["']/.test(each.text));
    const only = code.length <= 2 ? (code.at(-1)?.text ?? '') : '';
    const table = /^return\s+(\w+)(?:\.get\(\s*\(\w+(?:\s*,\s*\w+)+\s*,?\s*\)|\[\s*\(?\w+(?:\s*,\s*\w+)+)/.exec(
      only,
    )?.[1];
    if (table === undefined) return [];
    const at = text.search(new RegExp(`^${table}\\s*(?::[^=\\n]+)?=\\s*\\{`, 'm'));
    if (at < 0) return [];
    const rest = text.slice(at, at + longest);
    const end = rest.search(/^\}/m);
    const rows = [
      ...rest.slice(0, end < 0 ? rest.length : end).matchAll(/\(([^()\n]{1,300})\)\s*:\s*([^\n]{1,300}?),?\s*$/gm),
    ].map(([, key = '', answer = '']) => ({ key, answer }));
    return [{ name: name.split('.').at(-1)!, line, rows }];
  });
}

import { analyse } from 'scslre';
import ts from 'typescript';

/** Taking longer ones apart may itself take ages. */
const longest = 200;
const deepest = 8;

/** A regular expression that is written in code, as a literal or handed to `RegExp` as one text; null: it is put together from others. */
function patternIn(code: string): { source: string; flags: string } | null {
  const file = ts.createSourceFile('pattern.js', `(${code})`, ts.ScriptTarget.Latest, true);
  let found: { source: string; flags: string } | null = null;
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/');
      found ??= { source: node.text.slice(1, end), flags: node.text.slice(end + 1) };
    } else if (
      (ts.isNewExpression(node) || ts.isCallExpression(node)) &&
      node.expression.getText(file) === 'RegExp' &&
      node.arguments?.[0] !== undefined &&
      ts.isStringLiteralLike(node.arguments[0])
    )
      found ??= { source: node.arguments[0].text, flags: '' };
    if (found === null) ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** Are there inputs on which the time of this expression doubles with every character? Only where that can be shown. */
export function isExponential(code: string): boolean {
  const pattern = patternIn(code);
  if (pattern === null || pattern.source.length > longest || pattern.source.split('(').length > deepest) return false;
  try {
    return analyse(pattern, { maxReports: 1, reportTypes: { Move: false, Trade: false } }).reports.some(
      (each) => each.exponential,
    );
  } catch {
    return false; // nothing that this language can read, or too much of it
  }
}

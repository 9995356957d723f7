import ts from 'typescript';
import { parseScript } from './functions.ts';
import { isPython } from './paths.ts';
import { pythonLines } from './python.ts';

/** The comments of a file by line: what stands in a text or a pattern is none, however much it looks like one. */
export function commentsIn(path: string, text: string): Map<number, string> {
  const found = new Map<number, string>();
  const keep = (line: number, comment: string): void => void found.set(line, `${found.get(line) ?? ''} ${comment}`);
  if (isPython(path)) {
    const logical = pythonLines(text);
    const last = text.split('\n').length;
    // A statement may go over several lines; its comments stand beside any of them.
    for (const [index, { line, comment }] of logical.entries())
      if (comment !== '') for (let at = line; at < (logical[index + 1]?.line ?? last + 1); at++) keep(at, comment);
    return found;
  }
  const file = parseScript(path, text);
  const visit = (node: ts.Node): void => {
    const children = node.getChildren(file);
    if (children.length > 0) return children.forEach(visit);
    const from = node.getFullStart();
    const between = text.slice(from, node.getStart(file));
    if (!/\/[/*]|<!--|^#!/.test(between)) return;
    let line = file.getLineAndCharacterOfPosition(from).line + 1;
    for (const part of between.split('\n')) {
      if (part.trim() !== '') keep(line, part);
      line++;
    }
  };
  visit(file);
  return found;
}

import ts from 'typescript';
import { parseScript } from './functions.ts';

/** The same program, writing down which of the given lines are reached; and which of them a statement begins on. */
export interface Probed {
  text: string;
  executable: Set<number>;
}

const declares = (node: ts.Node): boolean =>
  ts.isFunctionDeclaration(node) ||
  ts.isInterfaceDeclaration(node) ||
  ts.isTypeAliasDeclaration(node) ||
  ts.isImportDeclaration(node) ||
  ts.isImportEqualsDeclaration(node) ||
  ts.isExportDeclaration(node) ||
  ts.isModuleDeclaration(node) ||
  ts.isEmptyStatement(node) ||
  ts.isBlock(node) ||
  ts.isLabeledStatement(node) ||
  (ts.canHaveModifiers(node) &&
    ts.getModifiers(node)?.some((each) => each.kind === ts.SyntaxKind.DeclareKeyword) === true);

/** @param into the file that reached lines are added to, as the program sees it */
export function probed(path: string, text: string, lines: ReadonlySet<number>, into: string): Probed {
  const file = parseScript(path, text);
  const executable = new Set<number>();
  const edits: { at: number; insert: string; order: number }[] = [];
  const lineOf = (node: ts.Node): number => file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
  const wanted = (node: ts.Node): number | null => {
    const line = lineOf(node);
    if (!lines.has(line)) return null;
    executable.add(line);
    return line;
  };
  const visit = (node: ts.Node): void => {
    if (ts.isBlock(node) || ts.isSourceFile(node) || ts.isCaseOrDefaultClause(node)) {
      for (const [index, each] of node.statements.entries()) {
        const directive = ts.isExpressionStatement(each) && ts.isStringLiteral(each.expression) && index < 3;
        if (declares(each) || directive) continue;
        const line = wanted(each);
        if (line !== null) edits.push({ at: each.getStart(file), insert: `__musterLine(${line});`, order: 0 });
      }
    } else if (ts.isIfStatement(node) || ts.isIterationStatement(node, false)) {
      const bodies = ts.isIfStatement(node) ? [node.thenStatement, node.elseStatement] : [node.statement];
      for (const body of bodies) {
        if (body === undefined || ts.isBlock(body) || ts.isIfStatement(body)) continue;
        const line = wanted(body);
        if (line !== null)
          edits.push(
            { at: body.getStart(file), insert: `{__musterLine(${line});`, order: 0 },
            { at: body.getEnd(), insert: '}', order: 1 },
          );
      }
    } else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) {
      const line = wanted(node.body);
      if (line !== null)
        edits.push(
          { at: node.body.getStart(file), insert: `(__musterLine(${line}),`, order: 0 },
          { at: node.body.getEnd(), insert: ')', order: 1 },
        );
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  let out = '';
  let from = 0;
  for (const { at, insert } of edits.sort((a, b) => a.at - b.at || b.order - a.order)) {
    out += text.slice(from, at) + insert;
    from = at;
  }
  out += text.slice(from);
  const shebang = /^#!.*\n/.exec(out)?.[0] ?? '';
  const typed = /\.[mc]?tsx?$/.test(path) ? '// @ts-nocheck\n' : '';
  const writer =
    `\n;function __musterLine(n) { const k = ${JSON.stringify(`${path}:`)} + n; const s = (globalThis.__musterLines ??= new Set()); ` +
    `if (s.has(k)) return; s.add(k); try { (process.getBuiltinModule ? process.getBuiltinModule('fs') : require('fs')).appendFileSync(${JSON.stringify(into)}, k + '\\n'); } catch {} }\n`;
  return { text: executable.size === 0 ? text : `${shebang}${typed}${out.slice(shebang.length)}${writer}`, executable };
}

/** Runs inside the sandbox as a plugin of pytest: writes down executable (E) and reached (R) lines of the files it is told. */
export const pytestLines = `
import json, os, sys, threading
_wanted = {os.path.realpath(path): path for path in json.loads(os.environ.get("MUSTER_LINE_FILES", "[]"))}
_out = open(os.environ["MUSTER_LINES"], "a", buffering=1) if "MUSTER_LINES" in os.environ else None
_names, _seen = {}, set()
def _local(frame, event, arg):
    if event == "line":
        key = (_names[frame.f_code.co_filename], frame.f_lineno)
        if key not in _seen:
            _seen.add(key)
            _out.write("R %s:%d\\n" % key)
    return _local
def _trace(frame, event, arg):
    name = frame.f_code.co_filename
    if name not in _names:
        _names[name] = _wanted.get(os.path.realpath(name))
    return _local if _names[name] is not None else None
def _executable(code, path):
    if code.co_name != "<module>":
        for _, _, line in code.co_lines():
            if line is not None and line != code.co_firstlineno:
                _out.write("E %s:%d\\n" % (path, line))
    for constant in code.co_consts:
        if hasattr(constant, "co_lines"):
            _executable(constant, path)
if _out is not None:
    for _real, _path in _wanted.items():
        try:
            with open(_real, "rb") as _file:
                _executable(compile(_file.read(), _real, "exec"), _path)
        except (OSError, SyntaxError):
            pass
    threading.settrace(_trace)
    sys.settrace(_trace)
`;

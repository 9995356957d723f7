/** One logical line of Python: brackets closed, text kept, comment taken off. */
export interface PythonLine {
  line: number;
  indent: number;
  text: string;
  comment: string;
  /** The code with the contents of its strings blanked, so that words in text are not taken for code. */
  bare: string;
}

/** Reads Python as its tokenizer would, as far as strings, comments and brackets go. */
export function pythonLines(source: string): PythonLine[] {
  const lines: PythonLine[] = [];
  let at = 0;
  let number = 1;
  while (at < source.length) {
    const begin = number;
    let text = '';
    let bare = '';
    let comment = '';
    let depth = 0;
    for (; at < source.length; at++) {
      const rest = source.slice(at, at + 3);
      const character = source[at]!;
      if (character === '#') {
        const end = source.indexOf('\n', at);
        comment += source.slice(at, end < 0 ? undefined : end);
        at = (end < 0 ? source.length : end) - 1;
        continue;
      }
      if (character === '"' || character === "'") {
        const mark = rest === '"""' || rest === "'''" ? rest : character;
        const raw = /[rR][bBfF]?$|[bBfF][rR]$/.test(text.slice(-2));
        let end = at + mark.length;
        while (end < source.length && !source.startsWith(mark, end) && !(mark.length === 1 && source[end] === '\n'))
          end += source[end] === '\\' && !raw ? 2 : 1;
        const whole = source.slice(at, Math.min(source.length, end + mark.length));
        number += whole.split('\n').length - 1;
        text += whole;
        bare += `${mark}${mark}`;
        at = end + mark.length - 1;
        continue;
      }
      if ('([{'.includes(character)) depth++;
      if (')]}'.includes(character)) depth = Math.max(0, depth - 1);
      if (character === '\n') {
        number++;
        if (depth === 0 && !text.endsWith('\\')) break;
        text += ' ';
        bare += ' ';
        continue;
      }
      text += character;
      bare += character;
    }
    at++;
    if (text.trim() !== '' || comment !== '')
      lines.push({
        line: begin,
        indent: text.trim() === '' ? -1 : text.length - text.trimStart().length,
        text: text.trim(),
        comment,
        bare: bare.trim(),
      });
  }
  return lines;
}

export interface PythonFunction {
  name: string;
  /** At the top of the file or of a class, and not `_private`. */
  isPublic: boolean;
  line: number;
  documented: boolean;
  /** The lines of its body, functions inside included. */
  body: PythonLine[];
}

export function pythonDefinitions(source: string): PythonFunction[] {
  const lines = pythonLines(source).filter((each) => each.indent >= 0);
  const found: PythonFunction[] = [];
  const open: { indent: number; name: string; isFunction: boolean }[] = [];
  for (const [index, each] of lines.entries()) {
    while (open.length > 0 && each.indent <= open.at(-1)!.indent) open.pop();
    const head = /^(?:async\s+)?(def|class)\s+(\w+)/.exec(each.text);
    if (head === null) continue;
    const outer = open.map((scope) => scope.name);
    const inFunction = open.some((scope) => scope.isFunction);
    open.push({ indent: each.indent, name: head[2]!, isFunction: head[1] === 'def' });
    let end = index + 1;
    while (end < lines.length && lines[end]!.indent > each.indent) end++;
    const body = lines.slice(index + 1, end);
    if (head[1] === 'class') continue;
    found.push({
      name: [...outer, head[2]!].join('.'),
      isPublic: !inFunction && ![...outer, head[2]!].some((name) => name.startsWith('_')),
      line: each.line,
      documented: /^[rRuU]?(?:"""|'''|"|')/.test(body[0]?.text ?? ''),
      body,
    });
  }
  return found;
}

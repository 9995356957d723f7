/**
 * Splits a text into what is said about it and what it says.
 * @param {string} text
 * @returns {{ about: Record<string, any>, body: string }}
 */
export function frontMatter(text) {
  const match = /^---\n([\s\S]*?)\n---\n?/.exec(text);
  if (match === null) return { about: {}, body: text };
  /** @type {Record<string, any>} */
  const about = {};
  for (const [index, line] of match[1].split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const at = line.indexOf(':');
    if (at < 0) throw new SyntaxError(`line ${index + 2} is no “key: value”`);
    about[line.slice(0, at).trim()] = valueOf(line.slice(at + 1).trim());
  }
  return { about, body: text.slice(match[0].length) };
}

/** @param {string} text */
function valueOf(text) {
  if (/^\[.*\]$/.test(text)) return text.slice(1, -1).split(',').map((each) => each.trim()).filter(Boolean);
  if (/^(true|false)$/.test(text)) return text === 'true';
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return text.replace(/^(["'])(.*)\1$/, '$2');
}

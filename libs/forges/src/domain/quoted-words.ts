/**
 * What others wrote, for Markdown that forges read: as code, in which nobody is called, nothing is linked, closed or commanded. One line of at
 * most `most` characters, however long and many it may be.
 */
export function quotedWords(text: string, most: number): string {
  const line = text
    .replace(/[\u0000-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+/g, ' ')
    .replaceAll('`', "'")
    .trim();
  const short = line.length > most ? `${line.slice(0, most - 1)}…` : line;
  return `\`${short === '' ? ' ' : short}\``;
}

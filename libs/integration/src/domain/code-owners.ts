import picomatch from 'picomatch';

/** Where forges look for it; the first that is there counts. */
export const CODE_OWNERS_FILES = ['.github/CODEOWNERS', 'CODEOWNERS', 'docs/CODEOWNERS', '.gitlab/CODEOWNERS'] as const;

/** Who owns a path; an empty list: nobody has to be asked. Null: no rule is about it. */
export type OwnersOf = (path: string) => readonly string[] | null;

/**
 * The file as GitHub reads it: one pattern in a line, then its owners, and the last line that matches counts. Lines that GitHub refuses
 * (`!`, character ranges) and GitLab's section headings match nothing.
 */
export function codeOwners(source: string): OwnersOf {
  const rules = source.split(/\r?\n/).flatMap((line) => {
    const [pattern, ...owners] = words(line);
    if (pattern === undefined || /^[!^]?\[|^!|(?<!\\)[[\]]/.test(pattern)) return [];
    return [{ matches: matcherOf(pattern), owners }];
  });
  return (path) => rules.findLast(({ matches }) => matches(path))?.owners ?? null;
}

/** Separated by blanks; a backslash keeps one in a path, and `#` begins a comment. */
function words(line: string): string[] {
  const found = line.match(/(?:\\.|[^\s\\])+/g) ?? [];
  const comment = found.findIndex((word) => word.startsWith('#'));
  return comment < 0 ? found : found.slice(0, comment);
}

function matcherOf(pattern: string): (path: string) => boolean {
  const plain = pattern.replaceAll('\\ ', ' ').replace(/^\\#/, '#');
  // A slash at its begin or in its middle ties a pattern to the root, as in .gitignore.
  const tied = plain.slice(0, -1).includes('/');
  const place = `${tied ? '' : '**/'}${plain.replace(/^\//, '').replace(/\/$/, '')}`;
  // A name stands for a file and for a folder with all that is in it; `docs/*` for what is directly in it.
  const globs = plain.endsWith('/')
    ? [`${place}/**`]
    : /(^|\/)\*$/.test(plain) && tied
      ? [place]
      : [place, `${place}/**`];
  // Nothing but * and ? means anything here: braces, brackets and parentheses are letters of a name.
  return picomatch(
    globs.map((glob) => glob.replaceAll(/[{}()!+@|[\]]/g, '\\$&')),
    { dot: true, nonegate: true },
  );
}

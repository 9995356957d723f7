import { describe, expect, test } from '@jest/globals';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { loadConfig } from '#platform/config';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const pages = globSync(['README.md', 'CONTRIBUTING.md', 'docs/**/*.md', 'libs/*/README.md', 'packages/*/README.md'], {
  cwd: root,
}).sort();

/** Links and pictures of a page, without what stands in code. */
function linksOf(markdown: string): string[] {
  const prose = markdown.replaceAll(/^ *(```|~~~)[\s\S]*?^ *\1/gm, '').replaceAll(/`[^`\n]*`/g, '');
  const inline = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)].map(([, target = '']) => target);
  const reference = [...prose.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)].map(([, target = '']) => target);
  return [...inline, ...reference];
}

/** As GitHub names the headings of a page. */
const anchorsOf = (markdown: string): string[] =>
  [...markdown.replaceAll(/^ *(```|~~~)[\s\S]*?^ *\1/gm, '').matchAll(/^#+ +(.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );

/** A table's cells, without what only marks them up. */
const cellsOf = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.replaceAll(/[`\\]/g, '').trim());

describe('the documentation', () => {
  test('finds a link that leads nowhere', () => {
    const markdown = 'See [a](gone.md) and `[b](code.md)`.\n\n```md\n[c](block.md)\n```\n\n[d]: other.md\n';
    expect(linksOf(markdown)).toEqual(['gone.md', 'other.md']);
  });

  test.each(pages)('%s links to files that exist', (page) => {
    const dead = linksOf(read(page)).filter((target) => {
      if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return false;
      const [path = '', anchor] = target.split('#', 2);
      const file = path === '' ? page : join(dirname(page), decodeURIComponent(path));
      if (!existsSync(join(root, file))) return true;
      return anchor !== undefined && file.endsWith('.md') && !anchorsOf(read(file)).includes(anchor);
    });
    expect(dead).toEqual([]);
  });

  test('lists every decision, under its own title', () => {
    const kept = globSync('docs/adr/[0-9]*.md', { cwd: root }).sort();
    const titles = kept.map((file) => `# ${basename(file).slice(0, 4)} `);
    expect(kept.map((file) => read(file).slice(0, 7))).toEqual(titles);
    const listed = [...read('docs/adr/README.md').matchAll(/^\| \[(\d{4})\]\((\S+)\) *\| (.+?) *\|$/gm)];
    expect(listed.map(([, number, file, title]) => [file, `# ${number} ${title}`])).toEqual(
      kept.map((file) => [basename(file), read(file).split('\n', 1)[0]]),
    );
  });

  test('names every setting with its default and its meaning, and no other', () => {
    const page = read('docs/runbook.md');
    const table = page.slice(page.indexOf('\n## Settings'), page.indexOf('\n## Health'));
    const rows = new Map(
      [...table.matchAll(/^\| `.*$/gm)].map(([line]) => {
        const [name = '', value = '', meaning = ''] = cellsOf(line);
        return [name, { value, meaning }] as const;
      }),
    );
    const settings = loadConfig({ MUSTER_LOG_PRETTY: '' }).describe();
    expect([...rows.keys()].sort()).toEqual(settings.map(({ name }) => name).sort());
    for (const { name, value, meaning } of settings) {
      expect({ name, value: rows.get(name)?.value }).toEqual({ name, value: value === '' ? 'none' : value });
      expect(rows.get(name)?.meaning).toContain(meaning);
    }
  });
});

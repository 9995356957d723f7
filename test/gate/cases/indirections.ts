import type { CorpusCase } from '../case.ts';
import { bad } from './bad.ts';
import { inCourier, inGazette, inStockroom } from './placed.ts';

/** Vulnerable patterns behind a name, a helper, a list; and keys that stand beside a secret. */
export const indirections: readonly CorpusCase[] = [
  ...bad(
    'injection through a helper',
    'conditions that a helper puts together',
    'courier',
    ['security.sql_injection'],
    (draft) => {
      draft.edit(
        'src/store.ts',
        'export class ParcelStore {',
        "const is = (column: string, value: string): string => `${column} = '${value}'`;\n\nexport class ParcelStore {",
      );
      draft.edit(
        'src/store.ts',
        '  tracking(number: string)',
        `  async matching(country: string, sender: string): Promise<readonly Row[]> {
    const conditions = [is('country', country), is('sender', sender)].join(' and ');
    return await this.database.query('select * from parcels where ' + conditions, []);
  }

  tracking(number: string)`,
      );
      draft.edit(
        'tests/api.spec.ts',
        "describe('label', ",
        `describe('matching', () => {
  it('asks for both', async () => {
    await store.matching('SE', 'bo');
    expect(asked.at(-1)).toEqual(["select * from parcels where country = 'SE' and sender = 'bo'"]);
  });
});

describe('label', `,
      );
    },
    { title: 'Find parcels by country and sender' },
  ),
  ...bad(
    'injection through a helper',
    'a file that the address names',
    'courier',
    ['security.path_traversal'],
    (draft) => {
      draft.edit(
        'src/api.ts',
        'const refused =',
        "import { readFile } from 'node:fs/promises';\n\nconst labels = '/tmp/labels-of-courier';\n\nconst refused =",
      );
      draft.edit(
        'src/api.ts',
        "    .on('GET', '/parcels/:number'",
        `    .on('GET', '/labels/:name', async (_request, { name = '' }) => {
      const file = labels + '/' + name;
      return { status: 200, body: await readFile(file, 'utf8') };
    })
    .on('GET', '/parcels/:number'`,
      );
      draft.edit(
        'tests/api.spec.ts',
        "  it('knows its routes'",
        `  it('serves labels', async () => {
    await expect(router.handle({ method: 'GET', path: '/labels/none.svg' })).rejects.toThrow('ENOENT');
  });

  it('knows its routes'`,
      );
    },
    { title: 'Serve stored labels' },
  ),
  ...bad(
    'injection through a helper',
    'a line for the shell, by a name of its own',
    'gazette',
    ['security.command_injection'],
    (draft) =>
      inGazette(
        draft,
        'history',
        `import { execSync } from 'node:child_process';

/**
 * When a text was last committed.
 * @param {string} path
 * @param {string} folder
 */
export function lastCommit(path, folder) {
  const command = \`git -C "\${folder}" log -1 --format=%cI -- "\${path}" 2>/dev/null || echo never\`;
  return String(execSync(command)).trim();
}
`,
        `import { lastCommit } from '../lib/history.js';

it('says never', () => {
  assert.match(lastCommit('x.md', '/nowhere'), /^never$/);
});
`,
      ),
    { title: 'Date posts by their last commit' },
  ),
  ...bad(
    'injection through a helper',
    'a comment in a page',
    'gazette',
    ['security.xss'],
    (draft) =>
      inGazette(
        draft,
        'comments',
        `/**
 * Appends what a reader wrote.
 * @param {{ insertAdjacentHTML(where: string, html: string): void }} list
 * @param {{ author: string, words: string }} comment
 */
export function appendComment(list, comment) {
  list.insertAdjacentHTML('beforeend', \`<li><b>\${comment.author}</b> \${comment.words}</li>\`);
}
`,
        `import { appendComment } from '../lib/comments.js';

it('appends', () => {
  const got = [];
  appendComment({ insertAdjacentHTML: (...all) => got.push(all) }, { author: 'Ann', words: 'Nice' });
  assert.deepEqual(got, [['beforeend', '<li><b>Ann</b> Nice</li>']]);
});
`,
      ),
    { title: 'Append comments' },
  ),
  ...bad(
    'injection through a helper',
    'a scanned note that the request names',
    'stockroom',
    ['security.path_traversal'],
    (draft) =>
      inStockroom(
        draft,
        'files',
        `"""Delivery notes that were scanned."""

from pathlib import Path


def scanned_note(request, folder):
    """The note that was asked for."""
    name = request.args.get("name")
    return (Path(folder) / name).read_text()
`,
        `from types import SimpleNamespace

from stockroom.files import scanned_note


def test_scanned_note(tmp_path):
    (tmp_path / "a.txt").write_text("bolts")
    assert scanned_note(SimpleNamespace(args={"name": "a.txt"}), tmp_path) == "bolts"
`,
      ),
    { title: 'Hand out stored delivery notes' },
  ),
  ...bad(
    'a second key',
    'a text that opens what a secret guards',
    'courier',
    ['security.back_door'],
    (draft) =>
      inCourier(
        draft,
        'guard',
        'mayAdminister',
        `import type { Request } from './router';

/** Whether a request may administer. */
export function mayAdminister(request: Request, secret: string): boolean {
  const given = request.headers?.['x-admin'] ?? '';
  return given === secret || given === 'letmein-7421';
}
`,
        `it('guards', () => {
  const asks = (key: string) => mayAdminister({ method: 'GET', path: '/', headers: { 'x-admin': key } }, 'right');
  expect(asks('right')).toBe(true);
  expect(asks('wrong')).toBe(false);
  expect(asks('letmein-7421')).toBe(true);
});
`,
      ),
    { title: 'Guard the administration' },
  ),
  ...bad(
    'a second key',
    'a token that is believed',
    'courier',
    ['security.unsigned_token'],
    (draft) =>
      inCourier(
        draft,
        'auth',
        'senderOf',
        `import type { Request } from './router';

/** The sender that a request's bearer token names; null when there is none. */
export function senderOf(request: Request): string | null {
  const [scheme, token] = (request.headers?.['authorization'] ?? '').split(' ');
  if (scheme !== 'Bearer' || token === undefined) return null;
  const [, payload = ''] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sub?: string };
  return claims.sub ?? null;
}
`,
        `it('knows the sender', () => {
  const token = ['x', Buffer.from('{"sub":"ann"}').toString('base64url'), 'y'].join('.');
  expect(senderOf({ method: 'GET', path: '/', headers: { authorization: \`Bearer \${token}\` } })).toBe('ann');
  expect(senderOf({ method: 'GET', path: '/' })).toBeNull();
});
`,
      ),
    { title: 'Know senders by their token' },
  ),
];

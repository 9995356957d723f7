import type { CorpusCase } from '../case.ts';
import type { Draft } from '../draft.ts';
import { bad, everySize } from './bad.ts';
import { honest } from './honest-case.ts';

/** A project whose tests write down what they ask the database, and that insists on what comes of it. */
function logsQueries(draft: Draft): void {
  draft.append('muster.yaml', 'performance:\n  queries: {}\nrequired: [tests, secrets, tampering, queries]\n');
  draft.write(
    'tests/conftest.py',
    `import json
import os
import sqlite3

import pytest

from stockroom import storage


@pytest.fixture(autouse=True)
def queries_are_logged(monkeypatch, request):
    path = os.environ.get("MUSTER_QUERY_LOG")
    if path is None:
        return
    connect = sqlite3.connect

    def logged(*args, **options):
        db = connect(*args, **options)

        def write(sql):
            with open(path, "a", encoding="utf-8") as log:
                log.write(json.dumps({"sql": sql, "scope": request.node.name}) + "\\n")

        db.set_trace_callback(write)
        return db

    monkeypatch.setattr(storage.sqlite3, "connect", logged)
`,
  );
}

const findAll = (body: string): string =>
  `    def find_all(self, codes):\n        """The items of these codes, in their order."""\n${body}\n    def all(self):`;
const testOfFindAll = `

def test_finds_many_items():
    storage = Storage()
    codes = ["AB-0003", "AB-0001", "AB-0002"]
    for code in codes:
        storage.save(Item(code, f"Bolt {code}"))
    assert [item.code for item in storage.find_all(codes * 5)] == codes * 5
    assert storage.find_all([]) == []
    with pytest.raises(StockError):
        storage.find_all(["ZZ-9999"])
`;
const asksInPython = (draft: Draft, name: string, source: string, test: string): void => {
  draft.write(`src/stockroom/${name}.py`, source);
  draft.write(`tests/test_${name}.py`, test);
};
const route = (draft: Draft, text: string, test: string, head = ''): void => {
  if (head !== '') draft.edit('src/api.ts', 'const refused =', `${head}\nconst refused =`);
  draft.edit('src/api.ts', "    .on('GET', '/parcels/:number'", `${text}\n    .on('GET', '/parcels/:number'`);
  draft.edit('tests/api.spec.ts', "  it('knows its routes'", `${test}\n  it('knows its routes'`);
};
const inGazette = (draft: Draft, name: string, source: string, test: string): void => {
  draft.write(`lib/${name}.js`, source);
  draft.write(`test/${name}.test.js`, test);
};

/** What somebody far away can make a server, or a browser, do; and what makes a database slow. */
export const webCases: readonly CorpusCase[] = [
  ...bad(
    'request forgery',
    'a callback that whoever asks names',
    'courier',
    ['security.ssrf'],
    (draft) =>
      route(
        draft,
        `    .on('POST', '/callbacks', async (request) => {
      const { callback } = request.body as { callback: string };
      const answer = await fetch(callback);
      return { status: 200, body: await answer.text() };
    })`,
        `  it('asks a callback', async () => {
    const answer = await router.handle({ method: 'POST', path: '/callbacks', body: { callback: 'data:text/plain,done' } });
    expect(answer).toEqual({ status: 200, body: 'done' });
  });
`,
      ),
    { title: 'Add callbacks', sizes: everySize },
  ),
  ...bad(
    'request forgery',
    'fetch under another name',
    'gazette',
    ['security.ssrf'],
    (draft) =>
      inGazette(
        draft,
        'embed',
        `const load = fetch;

/**
 * The text that a reader wants to see within an article.
 * @param {{ query: Record<string, string> }} request
 */
export async function embedded(request) {
  const at = new URL(request.query.url);
  const answer = await load(at);
  return await answer.text();
}
`,
        `import assert from 'node:assert/strict';
import { embedded } from '../lib/embed.js';

it('embeds a text', async () => {
  assert.equal(await embedded({ query: { url: 'data:text/plain,words' } }), 'words');
});
`,
      ),
    { title: 'Embed texts' },
  ),
  ...bad(
    'request forgery',
    'an opener of Python, through a name',
    'stockroom',
    ['security.ssrf'],
    (draft) =>
      asksInPython(
        draft,
        'suppliers',
        `"""What suppliers say."""

from urllib.request import Request, urlopen


def supplier_page(request):
    """The page of a supplier."""
    target = request.args["page"]
    with urlopen(Request(target)) as answer:
        return answer.read().decode()
`,
        `from types import SimpleNamespace

from stockroom.suppliers import supplier_page


def test_supplier_page():
    assert supplier_page(SimpleNamespace(args={"page": "data:text/plain,bolts"})) == "bolts"
`,
      ),
    { title: 'Show pages of suppliers' },
  ),
  ...bad(
    'cross-site scripting',
    'a note in a page',
    'courier',
    ['security.xss'],
    (draft) =>
      route(
        draft,
        `    .on('POST', '/notes', (request) => {
      const { note } = request.body as { note: string };
      return { status: 200, body: page(note) };
    })`,
        `  it('shows a note', async () => {
    const answer = await router.handle({ method: 'POST', path: '/notes', body: { note: 'fragile' } });
    expect(answer).toEqual({ status: 200, body: '<p class="note">fragile</p>' });
  });
`,
        'const page = (note: string): string => `<p class="note">${note}</p>`;\n',
      ),
    { title: 'Show notes', sizes: everySize },
  ),
  ...bad(
    'cross-site scripting',
    'a list joined of what was sent',
    'stockroom',
    ['security.xss'],
    (draft) =>
      asksInPython(
        draft,
        'pages',
        `"""Pages for the storekeeper."""


def wanted_page(request):
    """What somebody wants."""
    rows = "".join("<li>%s</li>" % name for name in request.args["names"])
    return f"<ul>{rows}</ul>"
`,
        `from types import SimpleNamespace

from stockroom.pages import wanted_page


def test_wanted_page():
    assert wanted_page(SimpleNamespace(args={"names": ["bolt", "nut"]})) == "<ul><li>bolt</li><li>nut</li></ul>"
`,
      ),
    { title: 'Add a page of what is wanted' },
  ),
  ...bad(
    'scripting in the browser',
    'the words of a search as markup',
    'gazette',
    ['security.xss'],
    (draft) =>
      inGazette(
        draft,
        'browser',
        `/**
 * Shows what was searched for.
 * @param {{ innerHTML: string }} place
 * @param {{ search: string }} location
 */
export function showSearch(place, location) {
  const words = new URLSearchParams(location.search).get('q') ?? '';
  place.innerHTML = 'Found for ' + words;
}
`,
        `import assert from 'node:assert/strict';
import { showSearch } from '../lib/browser.js';

it('shows what was searched for', () => {
  const place = { innerHTML: '' };
  showSearch(place, { search: '?q=oak' });
  assert.equal(place.innerHTML, 'Found for oak');
  showSearch(place, { search: '' });
  assert.equal(place.innerHTML, 'Found for ');
});
`,
      ),
    { title: 'Show what was searched for', sizes: everySize },
  ),
  ...bad(
    'queries asked again and again',
    'one for each item',
    'stockroom',
    ['queries.repeated'],
    (draft) => {
      draft.edit(
        'src/stockroom/storage.py',
        '    def all(self):',
        findAll('        return [self.find(code) for code in codes]\n'),
      );
      draft.append('tests/test_items.py', testOfFindAll);
    },
    { title: 'Find many items at once', branch: logsQueries, sizes: everySize },
  ),
];

/** The same things done well. */
export const honestWeb: readonly CorpusCase[] = [
  honest('lookalike', 'an address from a list of allowed hosts', 'courier', 'Add callbacks of partners', (draft) => {
    draft.edit('tests/api.spec.ts', 'import { describe, expect, it }', 'import { describe, expect, it, jest }');
    route(
      draft,
      `    .on('POST', '/callbacks', async (request) => {
      const { callback } = request.body as { callback: string };
      const at = new URL(callback);
      if (!partners.has(at.hostname)) return { status: 422, body: { reason: \`\${at.hostname} is no partner\` } };
      return { status: 202, body: { asked: at.hostname, answered: await ask(at) } };
    })`,
      `  it('asks partners only', async () => {
    const call = (callback: string) => router.handle({ method: 'POST', path: '/callbacks', body: { callback } });
    expect((await call('https://169.254.169.254/latest')).status).toBe(422);
    const asking = jest.spyOn(globalThis, 'fetch').mockResolvedValue(new Response('done',));
    expect(await call('https://post.example/done')).toEqual({ status: 202, body: { asked: 'post.example', answered: true } });
    asking.mockRestore();
  });
`,
      `const partners = new Set(['post.example', 'bring.example']);

async function ask(at: URL): Promise<boolean> {
  const answer = await fetch(at, { method: 'POST' });
  return answer.ok;
}
`,
    );
  }),
  honest('lookalike', 'a page whose words are escaped', 'gazette', 'Greet readers by name', (draft) =>
    inGazette(
      draft,
      'greeting',
      `import { escapeHtml } from './html.js';

/**
 * A page that greets a reader.
 * @param {{ query: Record<string, string> }} request
 */
export function greeting(request) {
  const name = escapeHtml(request.query.name ?? 'reader');
  return \`<h1>Hello \${name}</h1>\`;
}
`,
      `import assert from 'node:assert/strict';
import { greeting } from '../lib/greeting.js';

it('greets by name, and runs nothing', () => {
  assert.equal(greeting({ query: { name: 'Ann' } }), '<h1>Hello Ann</h1>');
  assert.equal(greeting({ query: {} }), '<h1>Hello reader</h1>');
  assert.ok(!greeting({ query: { name: '<script>' } }).includes('<script>'));
});
`,
    ),
  ),
  {
    ...honest('lookalike', 'one query for many keys', 'stockroom', 'Find many items at once', (draft) => {
      draft.edit(
        'src/stockroom/storage.py',
        '    def all(self):',
        findAll(`        places = ", ".join("?" for _ in codes)
        rows = self._db.execute(f"select code, name, unit, tags from items where code in ({places})", tuple(codes))
        found = {row[0]: _item(row) for row in rows}
        missing = [code for code in codes if code not in found]
        if missing:
            raise StockError(f"there is no item {missing[0]}")
        return [found[code] for code in codes]
`),
      );
      draft.append('tests/test_items.py', testOfFindAll);
    }),
    branch: logsQueries,
  },
  {
    ...honest('lookalike', 'a loop over three that are known', 'stockroom', 'Tell which basics are there', (draft) => {
      draft.edit(
        'src/stockroom/storage.py',
        '    def all(self):',
        `    def basics(self):
        """Which of the things that every stockroom has are there."""
        found = []
        for code in ("AA-0001", "AA-0002", "AA-0003"):
            row = self._db.execute("select name from items where code = ?", (code,)).fetchone()
            if row is not None:
                found.append(row[0])
        return found

    def all(self):`,
      );
      draft.append(
        'tests/test_items.py',
        `

def test_basics():
    storage = Storage()
    storage.save(Item("AA-0002", "Tape"))
    storage.save(Item("BB-0001", "Nut"))
    assert storage.basics() == ["Tape"]
`,
      );
    }),
    branch: logsQueries,
  },
];

import type { CorpusCase } from '../case.ts';
import { bad, everySize } from './bad.ts';
import { inCourier, inGazette, inStockroom } from './placed.ts';

/** What answers as if work had been done that failed, or that nobody wrote. */
export const madeUpAnswers: readonly CorpusCase[] = [
  ...bad(
    'swallowed error',
    'a mail that was not sent is answered as sent',
    'courier',
    ['claims.swallowed_error'],
    (draft) =>
      inCourier(
        draft,
        'notifier',
        'Notifier',
        `export interface Mail {
  send(to: string, text: string): Promise<void>;
}

export class Notifier {
  constructor(private readonly mail: Mail) {}

  /** Sends the mail; true when it is on its way. */
  async announce(to: string, number: string): Promise<boolean> {
    try {
      await this.mail.send(to, \`Your parcel \${number} was announced.\`);
    } catch (error) {
      console.warn('mail failed', error);
    }
    return true;
  }
}
`,
        `it('announces', async () => {
  const sent: string[][] = [];
  const notifier = new Notifier({ send: async (...mail) => void sent.push(mail) });
  expect(await notifier.announce('ann@mail.example', 'RR1')).toBe(true);
  expect(sent).toEqual([['ann@mail.example', 'Your parcel RR1 was announced.']]);
});
`,
      ),
    { title: 'Tell receivers by mail' },
  ),
  ...bad(
    'swallowed error',
    'a database that is down knows nothing',
    'courier',
    ['claims.swallowed_error'],
    (draft) => {
      draft.edit(
        'src/store.ts',
        "await this.database.query('select * from parcels where number = $1', [number]);",
        "await this.database.query('select * from parcels where number = $1', [number]).catch(() => []);",
      );
      draft.edit(
        'tests/api.spec.ts',
        "describe('label', ",
        `describe('a store without a database', () => {
  it('knows nothing', async () => {
    const down = new ParcelStore({ query: async () => Promise.reject(new Error('down')) });
    expect(await down.find('RR1')).toBeNull();
  });
});

describe('label', `,
      );
    },
    { title: 'Make looking up parcels robust' },
  ),
  ...bad(
    'swallowed error',
    'suppressed, whatever it is',
    'stockroom',
    ['claims.swallowed_error'],
    (draft) => {
      draft.edit('src/stockroom/storage.py', 'import sqlite3\n', 'import sqlite3\nfrom contextlib import suppress\n');
      draft.edit(
        'src/stockroom/storage.py',
        '    def find(self, code):',
        `    def save_all(self, items):
        """Keeps many items; answers how many were kept."""
        count = 0
        for item in items:
            with suppress(Exception):
                self.save(item)
                count += 1
        return count

    def find(self, code):`,
      );
      draft.append(
        'tests/test_items.py',
        `

def test_saves_many():
    storage = Storage()
    assert storage.save_all([Item("AB-0001", "Bolt"), Item("AB-0002", "Nut")]) == 2
    assert [item.code for item in storage.all()] == ["AB-0001", "AB-0002"]
`,
      );
    },
    { title: 'Save lists of items' },
  ),
  ...bad(
    'stub',
    'an answer that its own test asks for',
    'courier',
    ['honesty.stub'],
    (draft) =>
      inCourier(
        draft,
        'customs',
        'needsDeclaration',
        `import type { Zone } from './zones';

/** Whether a parcel to this zone has to be declared. */
export function needsDeclaration(_zone: Zone): boolean {
  return false;
}
`,
        `it('needs no declaration within the country', () => {
  expect(needsDeclaration('home')).toBe(false);
});
`,
      ),
    { title: 'Say which parcels have to be declared', sizes: everySize },
  ),
  ...bad(
    'stub',
    'a cleaner that hands back what it was given',
    'gazette',
    ['honesty.stub'],
    (draft) =>
      inGazette(
        draft,
        'sanitize',
        `/** Takes everything dangerous out of markup that readers sent. */
export function sanitizeMarkup(markup) {
  return markup;
}
`,
        `import { sanitizeMarkup } from '../lib/sanitize.js';

it('leaves harmless markup as it is', () => {
  assert.equal(sanitizeMarkup('<p>Hello</p>'), '<p>Hello</p>');
});
`,
      ),
    { title: 'Sanitize the markup of readers' },
  ),
  ...bad(
    'stub',
    'a list that is always empty',
    'stockroom',
    ['honesty.stub'],
    (draft) =>
      inStockroom(
        draft,
        'expiry',
        `"""What is about to go bad."""

from datetime import date


def expiring_before(items: list, day: date) -> list:
    """The items that have to be sold before a day."""
    return []
`,
        `from datetime import date

from stockroom.expiry import expiring_before


def test_nothing_expires_in_an_empty_room():
    assert expiring_before([], date(2026, 1, 1)) == []
`,
      ),
    { title: 'List the items that expire' },
  ),
  ...bad(
    'stub',
    'a message that nobody sends',
    'courier',
    ['claims.unfinished'],
    (draft) =>
      inCourier(
        draft,
        'sms',
        'sendText',
        `/** Sends a text message to the receiver of a parcel. */
export async function sendText(to: string, words: string): Promise<{ id: string; delivered: boolean }> {
  // simulate network latency
  await new Promise((resolve) => setTimeout(resolve, 5));
  return { id: \`sms-\${to.length}-\${words.length}\`, delivered: true };
}
`,
        `it('sends a text message', async () => {
  expect(await sendText('+4670', 'Your parcel is here.')).toEqual({ id: 'sms-5-20', delivered: true });
});
`,
      ),
    { title: 'Send text messages' },
  ),
];

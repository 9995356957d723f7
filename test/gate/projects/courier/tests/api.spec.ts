import { describe, expect, it } from '@jest/globals';
import { api } from '../src/api';
import { addressLines, label } from '../src/label';
import { money } from '../src/money';
import { ParcelStore, type Row } from '../src/store';

const row: Row = { number: 'RR000000014SE', country: 'SE', grams: 1000, sender: 'ann' };
const asked: unknown[][] = [];
const store = new ParcelStore({
  query: async (sql, values) => {
    asked.push([sql, ...values]);
    return values[0] === row.number || values[0] === row.sender ? [row] : [];
  },
});
const router = api(store, () => 1);
const to = { name: 'Ann <3', lines: ['Street 1', ' '], postcode: '221 00', city: 'Lund', country: 'SE' };
const parcel = { grams: 1000, size: [100, 100, 100], country: 'SE' };

describe('api', () => {
  it('quotes', async () => {
    expect(await router.handle({ method: 'POST', path: '/quotes', body: parcel })).toEqual({ status: 200, body: money(590) });
    const wrong = await router.handle({ method: 'POST', path: '/quotes', body: { ...parcel, grams: -1 } });
    expect(wrong.status).toBe(422);
  });

  it('takes a parcel and answers its label', async () => {
    const { status, body } = await router.handle({ method: 'POST', path: '/parcels', body: { parcel, to } });
    expect(status).toBe(201);
    expect(body).toMatchObject({ number: 'RR000000014SE', price: { cents: 590 } });
    expect((body as { label: string }).label).toContain('Ann &#60;3');
    const wrong = await router.handle({ method: 'POST', path: '/parcels', body: { parcel: { ...parcel, country: '?' }, to } });
    expect(wrong.status).toBe(422);
  });

  it('tells where a parcel is', async () => {
    expect(await router.handle({ method: 'GET', path: '/parcels/RR000000014SE' })).toEqual({ status: 200, body: { ...row, state: 'announced' } });
    expect((await router.handle({ method: 'GET', path: '/parcels/none' })).status).toBe(404);
  });

  it('knows its routes', async () => {
    expect((await router.handle({ method: 'GET', path: '/quotes' })).status).toBe(405);
    expect((await router.handle({ method: 'GET', path: '/nothing' })).status).toBe(404);
  });
});

describe('store', () => {
  it('asks for a sensible number of rows', async () => {
    expect(await store.bySender('ann', 10_000)).toEqual([row]);
    expect(asked.at(-1)).toEqual(['select * from parcels where sender = $1 order by number limit $2', 'ann', 500]);
  });
});

describe('label', () => {
  it('writes addresses as their country does', () => {
    expect(addressLines({ ...to, country: 'GB', postcode: 'SW1A 1AA', city: 'London' })).toEqual(['Ann <3', 'Street 1', 'London', 'SW1A 1AA', 'GB']);
  });

  it('draws the same label every time', () => {
    expect(label('RR000000014SE', to, money(590))).toMatchSnapshot();
  });
});

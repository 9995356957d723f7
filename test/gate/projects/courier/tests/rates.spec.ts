import { describe, expect, it } from '@jest/globals';
import { add, exchange, format, money } from '../src/money';
import { chargedGrams, insurance, quote, volumetricGrams } from '../src/rates';

const size: [number, number, number] = [300, 200, 100];

describe('rates', () => {
  it('charges by weight or volume, whichever is more', () => {
    expect(volumetricGrams(size)).toBe(1200);
    expect(chargedGrams({ grams: 900, size, country: 'SE' })).toBe(1200);
    expect(chargedGrams({ grams: 2000, size, country: 'SE' })).toBe(2000);
  });

  it('refuses what cannot be a parcel', () => {
    expect(() => chargedGrams({ grams: 0, size, country: 'SE' })).toThrow('weighs something');
    expect(() => chargedGrams({ grams: 10, size: [1, 0, 1], country: 'SE' })).toThrow('three sides');
    expect(() => chargedGrams({ grams: 31_501, size, country: 'SE' })).toThrow('at most 31.5 kg');
  });

  it('quotes by zone and kilo', () => {
    expect(quote({ grams: 1000, size: [100, 100, 100], country: 'SE' })).toEqual(money(590));
    expect(quote({ grams: 2500, size, country: 'DE' })).toEqual(money(1510));
    expect(quote({ grams: 1000, size: [100, 100, 100], country: 'US', express: true })).toEqual(money(4624));
  });

  it('insures above what is free', () => {
    expect(insurance(money(10_000))).toEqual(money(0));
    expect(insurance(money(30_000))).toEqual(money(300));
    expect(quote({ grams: 1000, size: [100, 100, 100], country: 'SE', insuredFor: money(30_000) })).toEqual(money(890));
  });
});

describe('money', () => {
  it('adds only its own kind', () => {
    expect(add(money(1), money(2)).cents).toBe(3);
    expect(() => add(money(1), money(2, 'SEK'))).toThrow(RangeError);
  });

  it('exchanges and prints', () => {
    expect(exchange(money(1000), 'SEK')).toEqual(money(11_200, 'SEK'));
    expect(format(money(1234, 'GBP'))).toBe('GBP 12.34');
  });
});

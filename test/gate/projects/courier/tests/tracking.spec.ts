import { describe, expect, it } from '@jest/globals';
import { Tracking, trackingNumber } from '../src/tracking';
import { transitDays, zoneOf } from '../src/zones';

describe('tracking', () => {
  it('goes from state to state', () => {
    const tracking = new Tracking('RR1');
    expect(tracking.state).toBe('announced');
    tracking.record({ at: 1, state: 'collected', place: 'Lund' });
    tracking.record({ at: 2, state: 'moving', place: 'Malmö' });
    expect(tracking.isOpen()).toBe(true);
    tracking.record({ at: 3, state: 'delivered', place: 'Ystad' });
    expect(tracking.isOpen()).toBe(false);
    expect(tracking.history().map((scan) => scan.place)).toEqual(['Lund', 'Malmö', 'Ystad']);
  });

  it('refuses a state that cannot follow, and scans out of order', () => {
    const tracking = new Tracking('RR1');
    expect(() => tracking.record({ at: 1, state: 'delivered', place: 'Lund' })).toThrow('cannot be delivered');
    tracking.record({ at: 5, state: 'collected', place: 'Lund' });
    expect(() => tracking.record({ at: 4, state: 'moving', place: 'Lund' })).toThrow('older');
  });

  it('numbers parcels with a check digit', () => {
    expect(trackingNumber(47_312_482)).toBe('RR473124829SE');
    expect(trackingNumber(1)).toBe('RR000000014SE');
  });
});

describe('zones', () => {
  it('knows how far it is', () => {
    expect(['SE', 'DK', 'FR', 'JP'].map((country) => zoneOf(country))).toEqual(['home', 'near', 'far', 'world']);
    expect(() => zoneOf('Sweden')).toThrow('two letters');
  });

  it('is twice as fast when it is paid for', () => {
    expect(transitDays('far', false)).toEqual([3, 6]);
    expect(transitDays('far', true)).toEqual([2, 3]);
  });
});

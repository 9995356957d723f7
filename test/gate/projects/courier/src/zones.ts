export type Zone = 'home' | 'near' | 'far' | 'world';

const near = new Set(['DK', 'NO', 'FI', 'DE', 'NL', 'BE']);
const far = new Set(['FR', 'ES', 'IT', 'PT', 'PL', 'GB', 'IE', 'AT', 'CH']);

export class UnknownCountry extends Error {
  constructor(readonly country: string) {
    super(`There is no country ${country}; use its two letters, as in ISO 3166.`);
  }
}

export function zoneOf(country: string, home = 'SE'): Zone {
  if (!/^[A-Z]{2}$/.test(country)) throw new UnknownCountry(country);
  if (country === home) return 'home';
  if (near.has(country)) return 'near';
  return far.has(country) ? 'far' : 'world';
}

const days: Record<Zone, [number, number]> = { home: [1, 2], near: [2, 4], far: [3, 6], world: [6, 14] };

export function transitDays(zone: Zone, express: boolean): [number, number] {
  const [least, most] = days[zone];
  return express ? [Math.ceil(least / 2), Math.ceil(most / 2)] : [least, most];
}

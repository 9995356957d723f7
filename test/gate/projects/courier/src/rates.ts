import { add, money, times, type Money } from './money';
import { zoneOf, type Zone } from './zones';

export interface Parcel {
  grams: number;
  /** Length, width and height in millimetres. */
  size: [number, number, number];
  country: string;
  express?: boolean;
  insuredFor?: Money;
}

export const mostGrams = 31_500;
const basis: Record<Zone, number> = { home: 590, near: 1190, far: 1690, world: 2890 };
const perKilo: Record<Zone, number> = { home: 90, near: 160, far: 230, world: 710 };

export class ParcelError extends Error {}

export function volumetricGrams([length, width, height]: Parcel['size']): number {
  return Math.round((length * width * height) / 5000);
}

export function chargedGrams(parcel: Parcel): number {
  if (parcel.grams <= 0) throw new ParcelError('A parcel weighs something.');
  if (parcel.size.some((side) => side <= 0)) throw new ParcelError('A parcel has three sides.');
  const charged = Math.max(parcel.grams, volumetricGrams(parcel.size));
  if (charged > mostGrams) throw new ParcelError(`A parcel weighs at most ${mostGrams / 1000} kg; this counts as ${charged / 1000} kg.`);
  return charged;
}

export function insurance(value: Money): Money {
  const free = 10_000;
  return value.cents <= free ? money(0, value.currency) : times(money(value.cents - free, value.currency), 0.015);
}

export function quote(parcel: Parcel): Money {
  const zone = zoneOf(parcel.country);
  const kilos = Math.ceil(chargedGrams(parcel) / 1000);
  let price = money(basis[zone] + perKilo[zone] * (kilos - 1));
  if (parcel.express === true) price = times(price, 1.6);
  return parcel.insuredFor === undefined ? price : add(price, insurance(parcel.insuredFor));
}

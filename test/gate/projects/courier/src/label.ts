import { format, type Money } from './money';

export interface Address {
  name: string;
  lines: string[];
  postcode: string;
  city: string;
  country: string;
}

export const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

export function addressLines(address: Address): string[] {
  const city = address.country === 'GB' ? [address.city, address.postcode] : [`${address.postcode} ${address.city}`];
  return [address.name, ...address.lines.filter((line) => line.trim() !== ''), ...city, address.country];
}

export function label(number: string, to: Address, price: Money): string {
  const rows = addressLines(to).map((line, at) => `  <text y="${40 + at * 18}">${escapeXml(line)}</text>`);
  return [
    '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="240">',
    ...rows,
    `  <text y="200" class="number">${escapeXml(number)}</text>`,
    `  <text y="220" class="price">${format(price)}</text>`,
    '</svg>',
  ].join('\n');
}

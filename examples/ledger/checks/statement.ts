// The auditor's copy: the statement of a fixed quarter must stay as it was signed, line by line.
import { readFileSync } from 'node:fs';
import { Ledger } from '../src/ledger.ts';
import { parseAmount } from '../src/money.ts';
import { statement } from '../src/statement.ts';

const quarter: ReadonlyArray<readonly [string, string, string]> = [
  ['2026-01-31', 'Invoice 17', '1200.00'],
  ['2026-02-01', 'Rent', '-800.00'],
  ['2026-02-14', 'Invoice 18', '349.90'],
  ['2026-03-01', 'Rent', '-800.00'],
];
const ledger = new Ledger();
for (const [date, text, amount] of quarter) {
  const cents = parseAmount(amount);
  ledger.book({
    date,
    text,
    postings: [
      { account: 'bank', amount: cents },
      { account: 'other', amount: -cents },
    ],
  });
}
const signed = readFileSync(new URL('statement.txt', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n');
// The title may change its words; the figures may not.
const printed = statement(ledger, 'bank').slice(1);
const different = signed.findIndex((line, index) => line !== printed[index]);
if (different !== -1 || printed.length !== signed.length) {
  console.error(
    `Line ${different + 1} was signed as "${signed[different]}" and is printed as "${printed[different]}".`,
  );
  process.exit(1);
}
console.log(`${signed.length} lines as signed`);

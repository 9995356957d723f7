import type { Ledger } from './ledger.ts';
import { formatAmount } from './money.ts';

/** The title above an account's statement. */
export function heading(account: string): string {
  return `Statement of ${account}`;
}

/** One line for each posting of the account, and its balance. */
export function statement(ledger: Ledger, account: string): string[] {
  const lines = [heading(account)];
  for (const entry of ledger.entries())
    for (const posting of entry.postings)
      if (posting.account === account) lines.push(`${entry.date} ${entry.text}: ${formatAmount(posting.amount)}`);
  lines.push(`Balance: ${formatAmount(ledger.balance(account))}`);
  return lines;
}

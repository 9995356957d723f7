import type { Invariant } from './invariants.ts';

/** Of hot tables, whose rules would be read anew by every statement that writes to them, were they enforced. */
export const rowsKeepTheirRules: Invariant = {
  name: 'database.rows_keep_their_rules',
  promise: 'Every row is as the rules of its table say, also where PostgreSQL does not enforce them.',
  violations: 'select team_id, subject, detail from broken_rules()',
};

/** Whether PostgreSQL's answer to this statement tells that something is durable: a commit, or a write outside of a transaction. */
export function isDurableWrite(sql: string, inTransaction: boolean): boolean {
  // Also as the last of several statements that are sent as one.
  if (/(^|;)\s*(commit|end)\b/i.test(sql)) return true;
  if (inTransaction) return false;
  return (
    /^\s*(insert|update|delete|merge)\b/i.test(sql) ||
    (/^\s*with\b/i.test(sql) && /\b(insert\s+into|(?<!\b(for|key)\s+)update|delete\s+from|merge\s+into)\s/i.test(sql))
  );
}

/** PostgreSQL's five-character error code, through whatever the ORM wrapped around it. */
export const sqlState = (error: unknown): string | null => {
  const code = fieldOf(error, 'code');
  return code !== null && /^[0-9A-Z]{5}$/.test(code) ? code : null;
};

/** The name of the constraint that refused a write, or null when it was something else. */
export const violatedConstraint = (error: unknown): string | null => fieldOf(error, 'constraint');

/** What node-postgres says in words alone. */
const brokenWords =
  /^(Connection terminated( unexpectedly| due to connection timeout)?|Client (has encountered a connection error|was closed) and is not queryable|timeout exceeded when trying to connect)$/;
/** The connection is gone, or PostgreSQL ends it: nobody knows then whether the statement was carried out. */
export function isConnectionBroken(error: unknown): boolean {
  const code = fieldOf(error, 'code');
  // 08P01 is about a message that PostgreSQL could not read, not about the connection.
  if (code !== null && code !== '08P01' && /^(08...|57P0.|25P03|ECONNRESET|EPIPE|ETIMEDOUT)$/.test(code)) return true;
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    if (brokenWords.test(at.message)) return true;
    at = at.cause ?? Reflect.get(at, 'previous');
  }
  return false;
}

function fieldOf(error: unknown, field: 'code' | 'constraint'): string | null {
  for (let at: unknown = error, depth = 0; typeof at === 'object' && at !== null && depth < 5; depth++) {
    const value: unknown = Reflect.get(at, field);
    if (typeof value === 'string') return value;
    at = Reflect.get(at, 'cause') ?? Reflect.get(at, 'previous');
  }
  return null;
}

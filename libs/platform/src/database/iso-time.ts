/** A time as contracts have it, text in UTC, in the list of a select. @param name of the column in the answer; default: its own */
export const isoTime = (column: string, name = column): string =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "${name}"`;

/** JSON deeper than this is refused: nothing that people or agents send is, and schemas, PostgreSQL and `JSON.stringify` recurse. */
export const maxNesting = 200;

/** Whether a parsed JSON value is nested deeper than the limit. Without recursion, so that no depth exhausts the stack. */
export function isNestedTooDeep(value: unknown, limit = maxNesting): boolean {
  const open: { value: unknown; depth: number }[] = [{ value, depth: 0 }];
  for (let entry = open.pop(); entry !== undefined; entry = open.pop()) {
    if (typeof entry.value !== 'object' || entry.value === null) continue;
    if (entry.depth >= limit) return true;
    for (const member of Object.values(entry.value))
      if (typeof member === 'object' && member !== null) open.push({ value: member, depth: entry.depth + 1 });
  }
  return false;
}

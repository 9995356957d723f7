/** `2/6`: every sixth of them, beginning with the second; together the parts are all. Null: that names no part. */
export function partOf<T>(text: string, all: readonly T[]): T[] | null {
  const [part = 0, parts = 0] = (/^\d+\/\d+$/.exec(text)?.[0] ?? '').split('/').map(Number);
  return part >= 1 && part <= parts ? all.filter((_each, at) => at % parts === part - 1) : null;
}

export const noPart = (text: string): string => `--part ${text}: give it as 2/8, the second of eight parts.`;

/** Remembers what never changes, and forgets the oldest of it beyond so many. */
export function keep<T>(cache: Map<string, T>, key: string, value: T, atMost: number): T {
  const [oldest] = cache.keys();
  if (cache.size >= atMost && oldest !== undefined) cache.delete(oldest);
  cache.set(key, value);
  return value;
}

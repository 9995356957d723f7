/** What the server says about its JavaScript heap. */
export async function heapMib(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const bytes = /^nodejs_heap_used_bytes(?:\{[^}]*\})? (\S+)/m.exec(text)?.[1];
  if (bytes === undefined) throw new Error('/metrics says nothing about the heap.');
  return Number(bytes) / 2 ** 20;
}

/** So much work at a stretch keeps nobody waiting who shares the process: a lease is renewed meanwhile. */
const stretchMs = 50;
let since = 0;

/** Lets everything else in this process have its turn, where the work since the last time was long enough to mind. */
export async function breathe(): Promise<void> {
  if (performance.now() - since < stretchMs) return;
  await new Promise((resolve) => setImmediate(resolve));
  since = performance.now();
}

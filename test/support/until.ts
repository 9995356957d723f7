/** What is looked for, as soon as it is there. Bounded: what never comes fails the test. */
export async function until<T>(look: () => T | undefined): Promise<T> {
  for (let tries = 0; tries < 400; tries += 1) {
    const seen = look();
    if (seen !== undefined) return seen;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('It did not come true in 10 s.');
}

/** Microseconds on the clock that all processes of this machine share and that nobody sets. */
export const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

export const sleep = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

/** Asks again and again; throws with the words when it does not come true in time. */
export async function until(
  what: string,
  seconds: number,
  isTrue: () => boolean | Promise<boolean>,
  everyMs = 20,
): Promise<void> {
  for (const end = nowUs() + seconds * 1e6; !(await isTrue()); await sleep(everyMs))
    if (nowUs() > end) throw new Error(`${what} did not happen within ${seconds} seconds.`);
}

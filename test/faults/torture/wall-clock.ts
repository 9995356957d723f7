import { existsSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';

/** The wall clock of one process, which somebody else can step; its monotonic clock goes on undisturbed, as on a real machine. */
export interface FakedClock {
  readonly env: Readonly<Record<string, string>>;
  step(bySeconds: number): Promise<void>;
}

const places = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib64/faketime/libfaketimeMT.so.1',
  '/usr/lib/faketime/libfaketimeMT.so.1',
  '/usr/local/lib/faketime/libfaketimeMT.so.1',
];
export const faketimeLibrary = (): string | null => places.find((place) => existsSync(place)) ?? null;

/** @param file tells the process what its clock is off by; null where libfaketime is not installed */
export async function fakedClock(file: string): Promise<FakedClock | null> {
  const library = faketimeLibrary();
  if (library === null) return null;
  let offset = 0;
  const write = async (): Promise<void> => {
    // Whole or not at all: the process may read it at any moment.
    await writeFile(`${file}.new`, `${offset < 0 ? '-' : '+'}${Math.abs(offset)}\n`);
    await rename(`${file}.new`, file);
  };
  await write();
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    },
    step: async (bySeconds) => {
      offset += bySeconds;
      await write();
    },
  };
}

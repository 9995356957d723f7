import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { ownFolder } from './own-folder.ts';

/** What differs between machines, from the kernel's tables of system calls. */
interface Machine {
  readonly audit: number;
  readonly open: number | null;
  readonly openat: number;
  readonly fcntl: number;
  readonly ioctl: number;
  /** Answered as if this kernel had none of them: they read, or open, past what a filter can look at. */
  readonly absent: readonly number[];
}
const machines: Readonly<Record<string, Machine>> = {
  // io_uring_setup, openat2, copy_file_range
  x64: { audit: 0xc000003e, open: 2, openat: 257, fcntl: 72, ioctl: 16, absent: [425, 437, 326] },
  arm64: { audit: 0xc00000b7, open: null, openat: 56, fcntl: 25, ioctl: 29, absent: [425, 437, 285] },
};
const O_NOATIME = 0o1000000;
const F_SETFL = 4;
/** FICLONE, FICLONERANGE and FIDEDUPERANGE share or compare contents; FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR can turn times of access off. */
const tracelessIoctls = [0x40049409, 0x4020940d, 0xc0189436, 0x40086602, 0x401c5820];

const [EPERM, ENOSYS, EOPNOTSUPP] = [1, 38, 95];
const allow = 0x7fff0000;
const refuse = (errno: number): number => 0x00050000 + errno;
const [atNumber, atMachine, atArgument] = [0, 4, (n: number) => 16 + 8 * n] as const;
/** Numbers of the x32 kind, which name the same calls once more. */
const otherKind = 0x40000000;

type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, k: number];
const load = (offset: number): Instruction => [0x20, 0, 0, offset];
const answer = (value: number): Instruction => [0x06, 0, 0, value];
/** Goes on with the next instruction where it holds, and skips so many where it does not. */
const whenEqual = (k: number, skip: number): Instruction => [0x15, 0, skip, k];
const whenSet = (k: number, skip: number): Instruction => [0x45, 0, skip, k];
const whenAtLeast = (k: number, skip: number): Instruction => [0x35, 0, skip, k];

function program(machine: Machine): Instruction[] {
  const forCall = (call: number, body: readonly Instruction[]): Instruction[] => [
    load(atNumber),
    whenEqual(call, body.length + 1),
    ...body,
    answer(allow),
  ];
  const flagsIn = (argument: number): Instruction[] => [
    load(atArgument(argument)),
    whenSet(O_NOATIME, 1),
    answer(refuse(EPERM)),
  ];
  return [
    load(atMachine),
    [0x15, 1, 0, machine.audit],
    answer(refuse(ENOSYS)),
    load(atNumber),
    whenAtLeast(otherKind, 1),
    answer(refuse(ENOSYS)),
    ...machine.absent.flatMap((call) => [whenEqual(call, 1), answer(refuse(ENOSYS))]),
    ...(machine.open === null ? [] : forCall(machine.open, flagsIn(1))),
    ...forCall(machine.openat, flagsIn(2)),
    ...forCall(machine.fcntl, [load(atArgument(1)), whenEqual(F_SETFL, 3), ...flagsIn(2)]),
    ...forCall(machine.ioctl, [
      load(atArgument(1)),
      ...tracelessIoctls.flatMap((request) => [whenEqual(request, 1), answer(refuse(EOPNOTSUPP))]),
    ]),
    answer(allow),
  ];
}

let written: string | null | undefined;

/**
 * A file with a filter of system calls (seccomp) under which whatever is read leaves its time of access: nothing may be opened without
 * one, and no contents be shared past it. Null where this machine is not known.
 */
export function noTracelessReads(): string | null {
  if (written !== undefined) return written;
  const machine = machines[process.arch];
  if (machine === undefined || endianness() !== 'LE' || process.platform !== 'linux') return (written = null);
  const bytes = Buffer.concat(
    program(machine).map(([code, jumpTrue, jumpFalse, k]) => {
      const each = Buffer.alloc(8);
      each.writeUInt16LE(code, 0);
      each.writeUInt8(jumpTrue, 2);
      each.writeUInt8(jumpFalse, 3);
      each.writeUInt32LE(k >>> 0, 4);
      return each;
    }),
  );
  const folder = ownFolder('filter');
  chmodSync(folder, 0o755);
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  written = join(folder, 'reads');
  writeFileSync(written, bytes, { mode: 0o644 });
  return written;
}

import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SandboxDriver } from './driver.ts';
import { ownFolder } from './own-folder.ts';

/** Reads in every way that it knows, some of them without leaving a trace if it can; what it is refused, it has not read. */
const reader = `
const fs = require('node:fs'), { spawnSync } = require('node:child_process');
const got = [];
const attempt = (work) => { try { const name = work(); if (typeof name === 'string') got.push(name); } catch {} };
fs.readFileSync('read');
attempt(() => { const file = fs.openSync('without-a-trace', fs.constants.O_RDONLY | fs.constants.O_NOATIME); fs.readSync(file, Buffer.alloc(1)); return 'without-a-trace'; });
attempt(() => { fs.readFileSync('set-back'); const { mtime } = fs.statSync('set-back'); fs.utimesSync('set-back', ${946_684_800}, mtime); });
attempt(() => { fs.copyFileSync('shared', 'copy', fs.constants.COPYFILE_FICLONE_FORCE); return 'shared'; });
attempt(() => { fs.copyFileSync('copied', 'another-copy'); });
attempt(() => { fs.linkSync('linked', 'link-to-it'); fs.readFileSync('link-to-it'); });
attempt(() => { fs.renameSync('moved', 'away'); fs.readFileSync('away'); fs.renameSync('away', 'moved'); });
attempt(() => fs.writeFileSync('written', 'y'));
attempt(() => { fs.readlinkSync('link'); });
attempt(() => { spawnSync('./executed'); });
attempt(() => fs.readdirSync('listed'));
attempt(() => { fs.readdirSync('listed-and-set-back'); const { mtime } = fs.statSync('listed-and-set-back'); fs.utimesSync('listed-and-set-back', ${946_684_800}, mtime); });
attempt(() => { fs.statSync('unread'); fs.statSync('unlisted/inside'); });
fs.writeSync(1, 'GOT ' + got.join(' '));
`;
const files = ['read', 'set-back', 'copied', 'linked', 'moved', 'written', 'link', 'executed', 'reader.cjs'];
/** Refused, or seen: whoever got hold of them says so. */
const refusable = ['without-a-trace', 'shared'];
const untouched = ['unread', 'unlisted/inside'];

/**
 * Whether what the driver says about reads is true on this machine: every way of reading shows, and what nobody read does not. File
 * systems can be mounted without times of access.
 */
export async function proveWatching(driver: SandboxDriver): Promise<boolean> {
  if (driver.watches !== true) return false;
  const workDir = ownFolder('watch', driver.scratch);
  try {
    for (const folder of ['listed', 'listed-and-set-back', 'unlisted']) mkdirSync(join(workDir, folder));
    for (const file of [...files, ...refusable, ...untouched])
      if (file !== 'link') writeFileSync(join(workDir, file), 'x');
    writeFileSync(join(workDir, 'executed'), '#!/bin/sh\nexit 0\n');
    chmodSync(join(workDir, 'executed'), 0o755);
    writeFileSync(join(workDir, 'reader.cjs'), reader);
    symlinkSync('unread', join(workDir, 'link'));
    const { stdout, reads } = await driver.run({
      command: ['node', 'reader.cjs'],
      workDir,
      watched: true,
      limits: { timeoutMs: 30_000 },
    });
    const got = /^GOT ?(.*)$/.exec(stdout)?.[1];
    if (reads === undefined || got === undefined) return false;
    const [read, listed] = [new Set(reads.read), new Set(reads.listed)];
    return (
      got.split(' ').every((path) => path === '' || read.has(path)) &&
      files.every((path) => read.has(path)) &&
      ['listed', 'listed-and-set-back'].every((path) => listed.has(path)) &&
      !listed.has('unlisted') &&
      untouched.every((path) => !read.has(path))
    );
  } catch {
    return false;
  } finally {
    rmSync(workDir, { recursive: true, force: true });
  }
}

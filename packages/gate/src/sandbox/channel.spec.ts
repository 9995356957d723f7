import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

const told = `import { Channel } from ${JSON.stringify(join(import.meta.dirname, 'channel.ts'))};
const channel = await Channel.open(process.argv[1]);
console.log(JSON.stringify(await channel.close()));`;

describe('a channel', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'channel-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** In a process for which this stands before the system's own `mkfifo`. */
  const opened = (mkfifo: string) => {
    const { PATH = '' } = process.env;
    writeFileSync(join(folder, 'mkfifo'), `#!/bin/sh\nPATH='${PATH}'\ntouch '${folder}/asked'\n${mkfifo}\n`);
    chmodSync(join(folder, 'mkfifo'), 0o755);
    return spawnSync(process.execPath, ['--input-type=module', '-e', told, join(folder, 'channel')], {
      env: { ...process.env, PATH: `${folder}:${PATH}` },
      encoding: 'utf8',
    });
  };

  it('opens although what makes its pipes was killed half-way', () => {
    const once = `if [ ! -e '${folder}/once' ]; then touch '${folder}/once'; mkfifo "$3"; kill -9 $$; fi`;
    const { stdout } = opened(`${once}; exec mkfifo "$@"`);
    expect(existsSync(join(folder, 'once'))).toBe(true);
    expect(JSON.parse(stdout)).toEqual({ records: [], foreign: 0, begun: false, ended: false });
  });

  it.each([
    ['cannot be made', `echo 'no pipes here' >&2; exit 1`, 'no pipes here'],
    ['are killed each time', 'kill -9 $$', 'SIGKILL'],
  ])('says so when its pipes %s', (_, mkfifo, why) => {
    const { status, stderr } = opened(mkfifo);
    expect(existsSync(join(folder, 'asked'))).toBe(true);
    expect(status).toBe(1);
    expect(stderr).toContain(why);
  });
});

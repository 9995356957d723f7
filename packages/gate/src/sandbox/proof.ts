import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { SandboxDriver } from './driver.ts';
import { ownFolder } from './own-folder.ts';

/**
 * The escape attempts, run inside as a stranger would. Each answers what it got hold of, or null, and does no harm where it
 * succeeds: a driver that fails may be running this as root on the bare machine, so an attempt touches only baits and the
 * proof's own folder, and asks for permission to write elsewhere instead of writing. It also answers whether
 * what must work does: a sandbox in which tests cannot open a loopback socket is safe and useless.
 */
const attempts = `
const fs = require('node:fs'), net = require('node:net'), { spawnSync } = require('node:child_process');
const told = JSON.parse(fs.readFileSync('told.json', 'utf8'));
const got = {};
const attempt = (name, work) => { try { const won = work(); got[name] = won ? String(won) : null; } catch { got[name] = null; } };
attempt('read a password file', () => fs.readFileSync('/etc/shadow', 'utf8').length + ' bytes of /etc/shadow');
for (const [index, file] of told.canaries.entries()) {
  attempt('read a file of the host ' + index, () => fs.readFileSync(file, 'utf8').includes(told.secret) && file);
  attempt('write beside it ' + index, () => (fs.writeFileSync(file + '.written', 'x'), 'wrote beside ' + file));
}
attempt('write to the system', () => (fs.accessSync('/usr', fs.constants.W_OK), '/usr is writable'));
attempt('write to the root folder', () => (fs.accessSync('/', fs.constants.W_OK), '/ is writable'));
attempt('read the environment of the host', () => process.env[told.variable]);
attempt('read the environment of process 1', () => fs.readFileSync('/proc/1/environ', 'latin1').includes(told.secret) && 'read it');
attempt('walk out through process 1', () => told.canaries.find((file) => fs.existsSync('/proc/1/root' + file)));
attempt('see processes of the host', () => fs.readdirSync('/proc').filter((pid) => /^[0-9]+$/.test(pid)).find((pid) => {
  try { return fs.readFileSync('/proc/' + pid + '/cmdline', 'latin1').includes(told.process); } catch { return false; }
}));
attempt('kill a process of the host', () => { process.kill(told.pid, 'SIGKILL'); return 'signalled ' + told.pid; });
attempt('become root', () => { process.setuid(0); return process.getuid() === 0 && 'uid 0'; });
attempt('hold capabilities', () => { const caps = /CapEff:\\s*([0-9a-f]+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]; return /[1-9a-f]/.test(caps) && caps; });
attempt('gain privileges by setuid programs', () => /NoNewPrivs:\\s*0/.test(fs.readFileSync('/proc/self/status', 'utf8')) && 'no_new_privs is off');
fs.mkdirSync('mounted');
attempt('mount', () => spawnSync('mount', ['-t', 'tmpfs', 'x', 'mounted']).status === 0 && (spawnSync('umount', ['mounted']), 'mounted a folder'));
attempt('open a user namespace', () => spawnSync('unshare', ['--user', '--map-root-user', 'true']).status === 0 && 'opened one');
attempt('make a device', () => spawnSync('mknod', ['disk', 'b', '8', '0']).status === 0 && 'made one');
got['reach a listener of the host'] = 'no answer yet';
const works = {};
try { fs.writeFileSync('written', 'x'); works.workFolder = true; } catch { works.workFolder = false; }
const reach = (port, host) => new Promise((resolve) => {
  const socket = net.connect({ port, host, timeout: 1500 });
  socket.on('connect', () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
  socket.on('timeout', () => { socket.destroy(); resolve(false); });
});
(async () => {
  got['reach a listener of the host'] = null;
  for (const { host, port } of told.targets) if (await reach(port, host)) got['reach a listener of the host'] = 'connected to ' + host + ':' + port;
  works.loopback = await new Promise((resolve) => {
    const server = net.createServer((socket) => socket.end()).on('error', () => resolve(false));
    server.listen(0, 'localhost', async () => { const ok = await reach(server.address().port, 'localhost'); server.close(); resolve(ok); });
  });
  console.log('PROOF ' + JSON.stringify({ got, works }));
})();
`;

const proof = z.object({ got: z.record(z.string(), z.string().nullable()), works: z.record(z.string(), z.boolean()) });

export interface SandboxProof {
  proven: boolean;
  notes: string[];
}

/**
 * Plays the stranger against a driver, with baits that exist for this one minute only. Once more where it was cut short: somebody
 * who was ended in the middle has seen nothing, and who has got out once is not asked again.
 */
export async function proveSandbox(driver: SandboxDriver, baitFolders: readonly string[] = []): Promise<SandboxProof> {
  return (await play(driver, baitFolders)) ?? (await play(driver, baitFolders, true));
}

const addressesOfOurs = (): string[] => [
  '127.0.0.1',
  ...Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address),
  ),
];

/** @returns null when the attempts did not finish; with `last` that is an answer, too */
async function play(driver: SandboxDriver, baitFolders: readonly string[], last: true): Promise<SandboxProof>;
async function play(driver: SandboxDriver, baitFolders: readonly string[]): Promise<SandboxProof | null>;
async function play(driver: SandboxDriver, baitFolders: readonly string[], last = false): Promise<SandboxProof | null> {
  const secret = `bait-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const folders = [ownFolder('bait')];
  for (const base of [homedir(), ...baitFolders]) {
    try {
      mkdirSync(base, { recursive: true });
      folders.push(ownFolder('bait', base, '.'));
    } catch {
      // a home that we cannot write to needs no bait
    }
  }
  const canaries = folders.map((folder) => join(folder, 'canary'));
  const workDir = ownFolder('proof', driver.scratch);
  const bystander = spawn('sleep', ['300.5'], {
    env: { PATH: process.env['PATH'] ?? '', MUSTER_BAIT: secret },
    stdio: 'ignore',
  });
  const listener = createServer((socket) => socket.end());
  const before = process.env['MUSTER_BAIT'];
  try {
    for (const canary of canaries) writeFileSync(canary, secret);
    writeFileSync(join(workDir, 'attempts.cjs'), attempts);
    await new Promise<void>((resolve, reject) => {
      bystander.once('error', reject);
      bystander.once('spawn', () => resolve());
    });
    // At every address of this machine: what has a network of its own still finds its way to ours.
    await new Promise<void>((resolve) => listener.listen(0, '0.0.0.0', resolve));
    const address = listener.address();
    process.env['MUSTER_BAIT'] = secret;
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const told = {
      canaries,
      secret,
      variable: 'MUSTER_BAIT',
      process: '300.5',
      pid: bystander.pid,
      targets: [...addressesOfOurs().map((host) => ({ host, port })), ...((await driver.targets?.()) ?? [])],
    };
    writeFileSync(join(workDir, 'told.json'), JSON.stringify(told));
    const result = await driver.run({
      command: ['node', 'attempts.cjs'],
      workDir,
      limits: { timeoutMs: 30_000 },
    });
    const line = /^PROOF (.*)$/m.exec(result.stdout)?.[1];
    if (line === undefined) {
      if (!last) return null;
      return {
        proven: false,
        notes: [`the attempts did not finish: ${(result.stderr || `exit ${result.exitCode}`).slice(-500)}`],
      };
    }
    const { got, works } = proof.parse(JSON.parse(line));
    const notes = Object.entries(got)
      .filter(([, won]) => won !== null)
      .map(([name, won]) => `it could ${name.replace(/ \d+$/, '')}: ${won}`);
    if (canaries.some((canary) => existsSync(`${canary}.written`)))
      notes.push('it could write to a folder of the host');
    if (bystander.exitCode !== null || bystander.signalCode !== null) notes.push('it could kill a process of the host');
    if (works['workFolder'] !== true) notes.push('it could not write to its own work folder');
    const proven = notes.length === 0;
    if (works['loopback'] !== true) notes.push('loopback does not work inside: tests that open sockets will fail');
    return { proven, notes };
  } catch (error) {
    if (!last) return null;
    return { proven: false, notes: [error instanceof Error ? error.message : String(error)] };
  } finally {
    if (before === undefined) delete process.env['MUSTER_BAIT'];
    else process.env['MUSTER_BAIT'] = before;
    bystander.kill('SIGKILL');
    listener.close();
    for (const folder of [...folders, workDir]) rmSync(folder, { recursive: true, force: true });
  }
}

import { chmod, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** One server for each data folder; a second one would corrupt repositories that both believe to own. */
export class DataFolderInUse extends Error {
  override readonly name = 'DataFolderInUse';
  constructor(folder: string, pid: number) {
    super(`Another Muster server (process ${pid}) uses ${folder}. Stop it, or set MUSTER_DATA_DIR to another folder.`);
  }
}

/** Takes the folder for this process; the answer gives it back. The lock of a server that was killed is taken over. */
export async function takeDataFolder(folder: string): Promise<() => Promise<void>> {
  // May be passed through by the built-in PostgreSQL's user, not listed.
  await mkdir(folder, { recursive: true, mode: 0o711 });
  await chmod(folder, 0o711);
  const path = join(folder, 'server.lock');
  const mine = `${process.pid} ${await startOf(process.pid)}`;
  for (let tries = 0; ; tries++) {
    try {
      const file = await open(path, 'wx', 0o600);
      await file.writeFile(mine);
      await file.close();
      return async () => {
        if ((await readFile(path, 'utf8').catch(() => '')) === mine) await rm(path, { force: true });
      };
    } catch (error) {
      if (!(typeof error === 'object' && error !== null && 'code' in error && error.code === 'EEXIST') || tries > 3)
        throw error;
      const [pid, start] = (await readFile(path, 'utf8').catch(() => '')).split(' ');
      const owner = Number(pid);
      if (owner !== process.pid && Number.isInteger(owner) && owner > 0 && (await startOf(owner)) === start) {
        throw new DataFolderInUse(folder, owner);
      }
      await rm(path, { force: true });
    }
  }
}

/** When the process started, in the kernel's ticks: tells it from another that got the same number later. */
async function startOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    try {
      process.kill(pid, 0);
      return 'running';
    } catch {
      return 'gone';
    }
  }
}

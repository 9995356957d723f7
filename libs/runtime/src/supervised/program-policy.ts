import { realpath } from 'node:fs/promises';
import { isAbsolute, sep } from 'node:path';

/**
 * May this program be run on the server's machine? `*` allows all. Otherwise it is named by an absolute path, and what that
 * path leads to, symbolic links followed, is one of the allowed programs or lies in one of the allowed folders.
 * @returns why not; null when it may
 */
export async function refusalOf(program: string, allowed: readonly string[]): Promise<string | null> {
  if (allowed.length === 0) return 'this server starts no agents; its operator allows it with MUSTER_SUPERVISED';
  if (allowed.includes('*')) return null;
  if (!isAbsolute(program))
    return `${program} is not an absolute path, and MUSTER_SUPERVISED names programs by their paths`;
  const real = await realpath(program).catch(() => null);
  if (real === null) return `${program} does not exist on the server's machine`;
  for (const entry of allowed) {
    const path = await realpath(entry).catch(() => null);
    if (path !== null && (real === path || real.startsWith(path.endsWith(sep) ? path : path + sep))) return null;
  }
  return `${program} is not one of the programs that MUSTER_SUPERVISED allows`;
}

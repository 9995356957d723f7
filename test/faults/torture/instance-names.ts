import { open } from 'node:fs/promises';
import type { AgentProcess } from './ground.ts';
import type { AgentOperation } from './history.ts';

/** Which agent an instance belongs to, from what their journals say meanwhile: each is read on from where the last look ended. */
export class InstanceNames {
  readonly #names = new Map<string, string>();
  readonly #read = new Map<string, number>();
  #looking = false;

  readonly #agents: () => readonly AgentProcess[];

  constructor(agents: () => readonly AgentProcess[]) {
    this.#agents = agents;
  }

  get size(): number {
    return this.#names.size;
  }

  of(instanceId: string): string | undefined {
    return this.#names.get(instanceId);
  }

  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      for (const { name, journal } of this.#agents()) await this.#lookInto(name, journal);
    } finally {
      this.#looking = false;
    }
  }

  async #lookInto(name: string, journal: string): Promise<void> {
    const from = this.#read.get(journal) ?? 0;
    const file = await open(journal, 'r');
    try {
      const { size } = await file.stat();
      if (size <= from) return;
      const { bytesRead, buffer } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
      const end = buffer.subarray(0, bytesRead).lastIndexOf('\n') + 1;
      this.#read.set(journal, from + end);
      for (const line of buffer.toString('utf8', 0, end).split('\n')) {
        if (!line.includes('"connect"')) continue;
        const { f, instanceId } = operationOf(line);
        if (f === 'connect' && instanceId !== undefined) this.#names.set(instanceId, name);
      }
    } finally {
      await file.close();
    }
  }
}

function operationOf(line: string): Partial<AgentOperation> {
  try {
    return JSON.parse(line) as AgentOperation;
  } catch {
    return {}; // cut off by a kill
  }
}

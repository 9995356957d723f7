import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { Config } from '#platform/config';

/** Which server this is, over restarts: one data folder is one server's. */
@Injectable()
export class ServerIdentity {
  private id: Promise<string> | null = null;

  constructor(private readonly config: Config) {}

  get folder(): string {
    return join(this.config.dataDir, 'supervised');
  }

  read(): Promise<string> {
    this.id ??= this.readOrMake();
    this.id.catch(() => (this.id = null));
    return this.id;
  }

  private async readOrMake(): Promise<string> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const file = join(this.folder, 'server-id');
    await writeFile(file, randomUUID(), { flag: 'wx', mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    return readFile(file, 'utf8');
  }
}

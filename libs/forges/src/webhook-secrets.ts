import { createHmac, randomBytes } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { Config } from '#platform/config';
import type { ForgeRow } from './domain/forge-row.ts';

/**
 * Secrets that webhooks are signed with, made of a key that is a file of this server (0600) and what is in the row: who reads the database
 * cannot sign, and a new generation ends the secret before.
 */
@Injectable()
export class WebhookSecrets {
  #key: Promise<Buffer> | null = null;

  constructor(private readonly config: Config) {}

  /** Null: none was asked for yet. In the form of GitLab's signing tokens, which is text like any other to GitHub. */
  async of(row: Pick<ForgeRow, 'id' | 'secret_generation'>): Promise<string | null> {
    if (row.secret_generation === 0) return null;
    const words = `webhook ${row.id} ${row.secret_generation}`;
    return `whsec_${createHmac('sha256', await this.key())
      .update(words)
      .digest('base64')}`;
  }

  /** By which a comment of ours is found again. Nobody can know it before we have written it. */
  async markOf(requestId: string): Promise<string> {
    return createHmac('sha256', await this.key())
      .update(`request ${requestId}`)
      .digest('hex')
      .slice(0, 32);
  }

  private key(): Promise<Buffer> {
    this.#key ??= this.open().catch((error: unknown) => {
      this.#key = null;
      throw error;
    });
    return this.#key;
  }

  /** Linked into place as a whole: of two that start at once one makes it for both. */
  private async open(): Promise<Buffer> {
    const file = join(this.config.sharedDir, 'keys', 'webhooks.key');
    const draft = `${file}.${randomBytes(6).toString('hex')}`;
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(draft, randomBytes(32), { mode: 0o600 });
    try {
      await link(draft, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      await unlink(draft);
    }
    return await readFile(file);
  }
}

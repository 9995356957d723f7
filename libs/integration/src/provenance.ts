import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import type { VerificationView } from '@muster/contracts';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { type Envelope, keyIdOf, signEnvelope } from './domain/dsse.ts';
import type { LandingRow } from './domain/landing.ts';
import { statementOf } from './domain/statement.ts';

/**
 * Signs what Muster says about landed commits. The private key is a file of this server alone (0600), made at first use
 * and never sent anywhere; replicas have one each. The public halves are rows, so that anybody can check for as long as
 * the history lives.
 */
@Injectable()
export class Provenance {
  #key: Promise<KeyObject> | null = null;

  constructor(
    private readonly config: Config,
    private readonly database: Database,
  ) {}

  async sign(landing: LandingRow, verification: VerificationView): Promise<Envelope> {
    return signEnvelope(Buffer.from(JSON.stringify(statementOf(landing, verification))), await this.key());
  }

  /** Every public key that ever signed here, by key id. */
  async publicKeys(): Promise<ReadonlyMap<string, string>> {
    const rows = await this.database.sql<{ key_id: string; pem: string }>(
      'select key_id, pem from provenance_keys order by since, key_id',
    );
    return new Map(rows.map(({ key_id, pem }) => [key_id, pem]));
  }

  /** Loads or makes the key and records its public half. */
  key(): Promise<KeyObject> {
    this.#key ??= this.open().catch((error: unknown) => {
      this.#key = null;
      throw error;
    });
    return this.#key;
  }

  private async open(): Promise<KeyObject> {
    const folder = join(this.config.dataDir, 'keys');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = join(folder, 'provenance-ed25519.pem');
    const pem = (await readIfThere(file)) ?? (await create(file));
    const key = createPrivateKey(pem);
    const publicKey = createPublicKey(key);
    await this.database.sql(
      'insert into provenance_keys (key_id, pem) values ($1, $2) on conflict (key_id) do nothing',
      [keyIdOf(publicKey), publicKey.export({ type: 'spki', format: 'pem' }).toString()],
    );
    return key;
  }
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Written beside and linked into place: a crash leaves no half a key, and of two that start at once one wins for both. */
async function create(file: string): Promise<string> {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, pem, { mode: 0o600 });
  try {
    await link(draft, file);
    return pem;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return await readFile(file, 'utf8');
  } finally {
    await unlink(draft);
  }
}

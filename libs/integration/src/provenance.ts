import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { link, mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Injectable } from '@nestjs/common';
import type { ProvenanceKey, VerificationView } from '@muster/contracts';
import { Config } from '#platform/config';
import { Database, isoTime } from '#platform/database';
import { digestOf, type Envelope, keyIdOf, signEnvelope } from './domain/dsse.ts';
import type { LandingRow } from './domain/landing.ts';
import { sourceOf, statementOf, type Surroundings, testResultOf } from './domain/statement.ts';

/** What is said about one landing: its statements, signed. */
export interface Attested {
  readonly summary: Envelope;
  readonly inputs: readonly Envelope[];
}

/**
 * Signs what Muster says about landed commits. The private key is a file of this server alone (0600), made at first use
 * and never sent anywhere; replicas have one each. The public halves are rows, so that anybody can check for as long as
 * the history lives.
 */
@Injectable()
export class Provenance {
  #key: Promise<KeyObject> | null = null;
  /** Ends with the rotations that were asked for: each has a key and a file to itself. */
  #rotated: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly config: Config,
    private readonly database: Database,
  ) {}

  /** The summary names the other two by digest, so that its chain holds them as well. */
  async sign(landing: LandingRow, verification: VerificationView, around: Surroundings): Promise<Attested> {
    const key = await this.key();
    const seal = (statement: object): Envelope => signEnvelope(Buffer.from(JSON.stringify(statement)), key);
    const inputs = [
      { what: 'test-result', envelope: seal(testResultOf(landing, verification, around)) },
      { what: 'source', envelope: seal(sourceOf(landing, around)) },
    ];
    const named = inputs.map(({ what, envelope }) => ({
      uri: `urn:muster:landing:${landing.id}:${what}`,
      digest: { sha256: digestOf(Buffer.from(envelope.payload, 'base64')) },
    }));
    return {
      summary: seal(statementOf(landing, verification, named)),
      inputs: inputs.map(({ envelope }) => envelope),
    };
  }

  /** Every public key that ever signed here, by key id. */
  async publicKeys(): Promise<ReadonlyMap<string, string>> {
    return new Map((await this.keys()).map(({ keyId, pem }) => [keyId, pem]));
  }

  async keys(): Promise<ProvenanceKey[]> {
    return await this.database.sql<ProvenanceKey>(
      `select key_id as "keyId", 'ed25519' as algorithm, pem, ${isoTime('since')}, ${isoTime('retired_at', 'retiredAt')}
       from provenance_keys order by provenance_keys.since, key_id`,
    );
  }

  /** A new key signs from now on. The old one vouches for what it signed, and for nothing later. */
  rotate(): Promise<ProvenanceKey> {
    const turn = this.#rotated.then(() => this.rotateNow());
    this.#rotated = turn.catch(() => undefined);
    return turn;
  }

  private async rotateNow(): Promise<ProvenanceKey> {
    const old = keyIdOf(createPublicKey(await this.key()));
    const file = this.file();
    const draft = `${file}.next`;
    await writeFile(draft, newKey(), { mode: 0o600 });
    // What was signed a moment ago with the old key has the older date: the new one is in place before the old one ends.
    await rename(draft, file);
    this.#key = null;
    const next = keyIdOf(createPublicKey(await this.key()));
    await this.database.sql(
      `update provenance_keys set retired_at = muster_now() where key_id = $1 and retired_at is null`,
      [old],
    );
    const made = (await this.keys()).find(({ keyId }) => keyId === next);
    if (made === undefined) throw new Error(`the key ${next} is not recorded`);
    return made;
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
    const file = this.file();
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const pem = (await readIfThere(file)) ?? (await create(file));
    const key = createPrivateKey(pem);
    const publicKey = createPublicKey(key);
    await this.database.sql(
      'insert into provenance_keys (key_id, pem) values ($1, $2) on conflict (key_id) do nothing',
      [keyIdOf(publicKey), publicKey.export({ type: 'spki', format: 'pem' }).toString()],
    );
    return key;
  }

  private file(): string {
    return join(this.config.dataDir, 'keys', 'provenance-ed25519.pem');
  }
}

const newKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

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
  const pem = newKey();
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

import { createPublicKey, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { Injectable } from '@nestjs/common';
import { Clock } from '#kernel';
import { Database } from '#platform/database';
import { hashOf } from '../domain/secrets.ts';

export interface SigningKey {
  readonly id: string;
  readonly privatePem: string;
  readonly publicPem: string;
}

/** RS256 keys of 3072 bits, shared by all servers through the database; the newest signs, all verify. */
@Injectable()
export class SigningKeys {
  private known = new Map<string, SigningKey>();
  private newest: SigningKey | null = null;
  private making: Promise<SigningKey> | null = null;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  current(): Promise<SigningKey> {
    if (this.newest !== null) return Promise.resolve(this.newest);
    this.making ??= this.loadOrMake().finally(() => (this.making = null));
    return this.making;
  }

  /** Null: nobody's key. One that another server made is looked up once. */
  async byId(id: string): Promise<SigningKey | null> {
    const known = this.known.get(id);
    if (known !== undefined) return known;
    if (!/^[0-9a-f]{16}$/.test(id)) return null;
    await this.load();
    return this.known.get(id) ?? null;
  }

  private async load(): Promise<void> {
    const rows = await this.database.sql<SigningKey>(
      `select id, private_pem as "privatePem", public_pem as "publicPem" from signing_keys order by created_at desc, id desc limit 20`,
    );
    this.known = new Map(rows.map((row) => [row.id, row]));
    this.newest = rows[0] ?? null;
  }

  private async loadOrMake(): Promise<SigningKey> {
    await this.load();
    if (this.newest !== null) return this.newest;
    const made = await makeKey();
    await this.database.transaction(async (tx) => {
      // Two servers that start at once: the second one waits here and then finds the first one's key.
      await tx.sql(`lock table signing_keys in share row exclusive mode`);
      await tx.sql(
        `insert into signing_keys (id, private_pem, public_pem, created_at)
         select $1, $2, $3, $4 where not exists (select from signing_keys)`,
        [made.id, made.privatePem, made.publicPem, this.clock.now()],
      );
    });
    await this.load();
    if (this.newest === null) throw new Error('The signing key was written and is not there.');
    return this.newest;
  }
}

async function makeKey(): Promise<SigningKey> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 3072 });
  const privatePem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const publicPem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString();
  return { id: hashOf(publicPem).slice(0, 16), privatePem, publicPem };
}

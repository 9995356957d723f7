import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Provenance } from '../provenance.ts';

export interface ProvenanceKeys {
  readonly keys: ReadonlyArray<{ readonly keyId: string; readonly algorithm: 'ed25519'; readonly pem: string }>;
}
/** The public keys that landings are signed with, for anybody who wants to check without asking us. */
export class ListProvenanceKeys extends Query<ProvenanceKeys> {}

@QueryHandler(ListProvenanceKeys)
export class ListProvenanceKeysHandler implements IQueryHandler<ListProvenanceKeys> {
  constructor(private readonly provenance: Provenance) {}

  async execute(): Promise<ProvenanceKeys> {
    const keys = await this.provenance.publicKeys();
    return { keys: [...keys].map(([keyId, pem]) => ({ keyId, algorithm: 'ed25519', pem })) };
  }
}

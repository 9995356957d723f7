import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { ProvenanceKeys } from '@muster/contracts';
import { Provenance } from '../provenance.ts';

/** The public keys that landings are signed with, for anybody who wants to check without asking us. */
export class ListProvenanceKeys extends Query<ProvenanceKeys> {}

@QueryHandler(ListProvenanceKeys)
export class ListProvenanceKeysHandler implements IQueryHandler<ListProvenanceKeys> {
  constructor(private readonly provenance: Provenance) {}

  async execute(): Promise<ProvenanceKeys> {
    return { keys: await this.provenance.keys() };
  }
}

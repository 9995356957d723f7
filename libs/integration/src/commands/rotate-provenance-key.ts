import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { ProvenanceKey } from '@muster/contracts';
import { Provenance } from '../provenance.ts';

/** A new key signs the next landing. The old one's public half stays, or what it signed could not be checked any more. */
export class RotateProvenanceKey extends Command<ProvenanceKey> {}

@CommandHandler(RotateProvenanceKey)
export class RotateProvenanceKeyHandler implements ICommandHandler<RotateProvenanceKey> {
  constructor(private readonly provenance: Provenance) {}

  execute(): Promise<ProvenanceKey> {
    return this.provenance.rotate();
  }
}

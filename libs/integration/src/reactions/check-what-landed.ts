import type { CloudEvent } from '@muster/contracts';
import { Reaction, type Reacts } from '#platform/eventlog';
import { AdvanceLanding } from '../commands/advance-landing.ts';

@Reaction({ name: 'check-what-landed', types: ['landing.landed'] })
export class CheckWhatLanded implements Reacts {
  constructor(private readonly landings: AdvanceLanding) {}

  async react(event: CloudEvent): Promise<void> {
    if (event.subject !== null) await this.landings.run(event.subject);
  }
}

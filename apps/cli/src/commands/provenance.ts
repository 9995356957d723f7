import type { Command } from 'commander';
import { printJson, printLine, printTable } from '../output.ts';
import { connect, type Globals } from '../settings.ts';
import { findProject } from './projects.ts';

export const addProvenanceCommands = (program: Command, globals: () => Globals): void => {
  const provenance = program.command('provenance').description('the keys that landings are signed with');
  provenance
    .command('keys')
    .description('the public keys, the retired ones too')
    .action(async () => {
      const answer = await (await connect(globals())).provenance.keys();
      if (globals().json) return printJson(answer);
      printTable(
        ['key', 'since', 'retired'],
        answer.keys.map(({ keyId, since, retiredAt }) => [keyId, since, retiredAt]),
      );
    });
  provenance
    .command('trust <project>')
    .description('print what `verify-provenance` needs besides a clone, as JSON')
    .action(async (idOrSlug: string) => {
      const client = await connect(globals());
      printJson(await client.provenance.trust(await findProject(client, idOrSlug)));
    });
  provenance
    .command('rotate')
    .description('let another key sign from now on; the old one keeps vouching for what it signed')
    .action(async () => {
      const made = await (await connect(globals())).provenance.rotate();
      if (globals().json) printJson(made);
      else printLine(`${made.keyId} signs from now on. Give those who verify offline a new trust policy.`);
    });
};

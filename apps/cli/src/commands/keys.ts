import type { Command } from 'commander';
import colors from 'picocolors';
import { createApiKey } from '@muster/contracts';
import { printFields, printJson, printLine, printTable } from '../output.ts';
import { connect, UsageError, type Globals } from '../settings.ts';
import { findProject } from './projects.ts';

interface CreateOptions {
  readonly role?: string;
  readonly project?: string;
  readonly permission?: string[];
  readonly expires?: string;
}

export const addKeyCommands = (program: Command, globals: () => Globals): void => {
  const keys = program.command('key').description('API keys, under which agents and services work');
  keys
    .command('create <name>')
    .description('make a key; its secret is printed once')
    .option('--role <role>', 'what it may at most: agent, viewer, developer, maintainer or owner', 'agent')
    .option('--project <project>', 'for this project only')
    .option('--permission <permission...>', 'of what the role may, only these')
    .option('--expires <time>', 'when it ends by itself, 2030-01-31T00:00:00Z for instance')
    .action(async (name: string, { role, project, permission, expires }: CreateOptions) => {
      const client = await connect(globals());
      const wish = createApiKey.safeParse({
        name,
        role,
        ...(permission === undefined ? {} : { permissions: permission }),
        ...(expires === undefined ? {} : { expiresAt: expires }),
        ...(project === undefined ? {} : { projectId: await findProject(client, project) }),
      });
      if (!wish.success)
        throw new UsageError(wish.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n'));
      const made = await client.keys.create(wish.data);
      if (globals().json) return printJson(made);
      printFields({ id: made.id, name: made.name, role: made.role, secret: made.secret });
      printLine(colors.dim('The secret is shown this once. Give it to the agent as MUSTER_TOKEN.'));
    });
  keys
    .command('list')
    .description('list keys')
    .option('--limit <n>', 'how many', Number, 50)
    .option('--cursor <cursor>')
    .action(async (options: { limit: number; cursor?: string }) => {
      const page = await (await connect(globals())).keys.list(options);
      if (globals().json) return printJson(page);
      printTable(
        ['id', 'name', 'role', 'project', 'last used', 'ended'],
        page.items.map((key) => [key.id, key.name, key.role, key.projectId, key.lastUsedAt, key.revokedAt]),
      );
    });
  keys
    .command('revoke <key>')
    .description('end a key at once, also on connections that are open')
    .action(async (keyId: string) => {
      await (await connect(globals())).keys.revoke(keyId);
      if (globals().json) printJson({ ok: true });
      else printLine(`${keyId} is revoked.`);
    });
};

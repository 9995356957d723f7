import { createInterface } from 'node:readline/promises';
import { MusterClient } from '@muster/sdk';
import type { Command } from 'commander';
import { printFields, printJson, printLine } from '../output.ts';
import {
  connect,
  forgetSession,
  keepSession,
  passwordFromEnvironment,
  serverUrl,
  UsageError,
  type Globals,
} from '../settings.ts';

const askSecretly = async (question: string): Promise<string> => {
  if (!process.stdin.isTTY) {
    let text = '';
    for await (const chunk of process.stdin) text += String(chunk);
    return text.replace(/\r?\n$/, '');
  }
  process.stderr.write(question);
  const lines = createInterface({ input: process.stdin, terminal: true });
  try {
    return await lines.question('');
  } finally {
    lines.close();
  }
};

export const addSessionCommands = (program: Command, globals: () => Globals): void => {
  program
    .command('login')
    .description('log in and keep the session; the password is asked for, read from stdin, or MUSTER_PASSWORD')
    .argument('[url]', 'the server; the same as --url')
    .option('--email <email>', 'who', 'admin@localhost')
    .action(async (place: string | undefined, { email }: { email: string }) => {
      const url = serverUrl(place ?? globals().url);
      const password = passwordFromEnvironment() ?? (await askSecretly(`Password of ${email}: `));
      if (password === '') throw new UsageError('There was no password.');
      const client = new MusterClient({ url, retryForMs: 5_000 });
      await keepSession({ url, ...(await client.login({ email, password })) });
      const me = await client.whoAmI();
      if (globals().json) printJson(me);
      else printLine(`Logged in at ${url} as ${me.name}.`);
    });
  program
    .command('logout')
    .description('forget the kept session')
    .action(async () => {
      await forgetSession();
      if (globals().json) printJson({ ok: true });
      else printLine('Logged out.');
    });
  program
    .command('whoami')
    .description('who the server takes you for')
    .action(async () => {
      const me = await (await connect(globals())).whoAmI();
      if (globals().json) printJson(me);
      else
        printFields({
          name: me.name,
          kind: me.kind,
          id: me.id,
          team: me.teamId,
          permissions: me.permissions.join(', '),
        });
    });
};

import {
  type ForgeRequest,
  type ForgeView,
  remoteDirection,
  type RemoteView,
  requestPolicy,
  forgeRequest,
  requestStates,
} from '@muster/contracts';
import { type Command, InvalidArgumentError } from 'commander';
import { printFields, printJson, printLine, printTable, short, state } from '../output.ts';
import { connect, type Globals } from '../settings.ts';
import { findProject } from './projects.ts';

const direction = (text: string): RemoteView['direction'] => {
  const parsed = remoteDirection.safeParse(text);
  if (!parsed.success)
    throw new InvalidArgumentError('It is "from" (what is new there comes in) or "to" (what has landed goes there).');
  return parsed.data;
};
const requestsFrom = (text: string): ForgeView['requests']['from'] => {
  const parsed = requestPolicy.shape.from.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError('It is nobody, writers (who may push there) or anyone.');
  return parsed.data;
};
const requestState = (text: string): ForgeRequest['state'] => {
  const parsed = forgeRequest.shape.state.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(`It is one of ${requestStates.join(', ')}.`);
  return parsed.data;
};
const collect = (value: string, before: string[]): string[] => [...before, value];
const printRemote = (remote: RemoteView): void =>
  printFields({
    direction: remote.direction,
    url: remote.url,
    branch: remote.branch,
    state: state(remote.state),
    commit: remote.commit,
    submission: remote.submissionId,
    problem: remote.problem,
    'in step at': remote.inStepAt,
  });
const printForge = (forge: ForgeView): void =>
  printFields({
    account: forge.account,
    kind: forge.kind,
    repository: forge.repository,
    statuses: forge.statuses,
    checks: forge.checks,
    webhook: forge.webhookUrl,
    secret: forge.hasSecret ? 'set' : 'none yet: muster forge secret <project>',
    owed: forge.owed,
    problem: forge.problem,
    'requests from': forge.requests.from,
    'requests out': forge.requests.out,
    'open requests': forge.openRequests,
    'failing requests': forge.failingRequests,
  });
/** What became of it, and why nothing more does. */
const whyOf = ({ why, problem, nextLookAt }: ForgeRequest): string | null =>
  problem === null
    ? why
    : `${problem} (${nextLookAt === null ? 'given up: muster forge look' : `again at ${nextLookAt}`})`;

interface SetOptions {
  readonly account: string;
  readonly repository: string;
  readonly statuses: boolean;
  readonly checks: boolean;
  readonly requestsFrom: ForgeView['requests']['from'];
  readonly author: string[];
  readonly forks: boolean;
  readonly drafts: boolean;
  readonly requestsOut: boolean;
}

export const addRemoteCommands = (program: Command, globals: () => Globals): void => {
  const remotes = program.command('remote').description('repositories elsewhere that a project keeps in step with');
  const show = (remote: RemoteView): void => (globals().json ? printJson(remote) : printRemote(remote));
  remotes
    .command('list <project>')
    .description('where from and where to')
    .action(async (idOrSlug: string) => {
      const client = await connect(globals());
      const found = await client.remotes.list(await findProject(client, idOrSlug));
      if (globals().json) return printJson(found);
      printTable(
        ['direction', 'url', 'branch', 'state', 'commit', 'problem'],
        found.items.map((one) => [
          one.direction,
          one.url,
          one.branch,
          state(one.state),
          short(one.commit),
          one.problem,
        ]),
      );
    });
  remotes
    .command('set <project>')
    .argument('<direction>', 'from or to', direction)
    .argument('<url>', 'https://, ssh:// or file://')
    .description('take what is new from there, or push there what has landed')
    .option('--branch <branch>', 'the branch there; default: the project’s')
    .action(async (idOrSlug: string, way: RemoteView['direction'], url: string, { branch }: { branch?: string }) => {
      const client = await connect(globals());
      show(await client.remotes.set(await findProject(client, idOrSlug), way, { url, branch }));
    });
  remotes
    .command('sync <project>')
    .argument('<direction>', 'from or to', direction)
    .description('look now')
    .action(async (idOrSlug: string, way: RemoteView['direction']) => {
      const client = await connect(globals());
      show(await client.remotes.sync(await findProject(client, idOrSlug), way));
    });
  remotes
    .command('remove <project>')
    .argument('<direction>', 'from or to', direction)
    .action(async (idOrSlug: string, way: RemoteView['direction']) => {
      const client = await connect(globals());
      await client.remotes.remove(await findProject(client, idOrSlug), way);
      if (globals().json) printJson({ ok: true });
      else printLine(`The remote "${way}" is gone.`);
    });

  const forges = program.command('forge').description('where a project lives on GitHub or GitLab');
  forges.command('show <project>').action(async (idOrSlug: string) => {
    const client = await connect(globals());
    const forge = await client.forge.get(await findProject(client, idOrSlug));
    if (globals().json) printJson(forge);
    else printForge(forge);
  });
  forges
    .command('set <project>')
    .description('which account of the operator’s, and which repository there')
    .requiredOption('--account <name>')
    .requiredOption('--repository <owner/name>')
    .option('--no-statuses', 'show it no statuses')
    .option('--checks', 'show it check runs, with findings at their lines (GitHub Apps)', false)
    .option(
      '--requests-from <who>',
      'whose pull or merge requests are handed in: nobody, writers or anyone',
      requestsFrom,
      'nobody',
    )
    .option('--author <name>', 'take the requests of this one besides; may be repeated', collect, [])
    .option('--forks', 'also requests whose branch is in another repository', false)
    .option('--drafts', 'also drafts', false)
    .option('--requests-out', 'open a request there for every change that was accepted here', false)
    .action(async (idOrSlug: string, options: SetOptions) => {
      const { requestsFrom: from, author: authors, forks, drafts, requestsOut: out, ...wish } = options;
      const client = await connect(globals());
      const requests = { from, authors, forks, drafts, out };
      const forge = await client.forge.set(await findProject(client, idOrSlug), { ...wish, requests });
      if (globals().json) printJson(forge);
      else printForge(forge);
    });
  forges
    .command('secret <project>')
    .description('a new secret for its webhooks, shown this once')
    .action(async (idOrSlug: string) => {
      const client = await connect(globals());
      const made = await client.forge.renewSecret(await findProject(client, idOrSlug));
      if (globals().json) printJson(made);
      else printFields({ 'payload url': made.webhookUrl, 'content type': 'application/json', secret: made.secret });
    });
  forges
    .command('webhooks <project>')
    .description('what it has sent lately, and what became of it')
    .option('--limit <n>', 'how many', Number, 50)
    .option('--cursor <cursor>')
    .action(async (idOrSlug: string, options: { limit: number; cursor?: string }) => {
      const client = await connect(globals());
      const page = await client.forge.webhooks(await findProject(client, idOrSlug), options);
      if (globals().json) return printJson(page);
      printTable(
        ['received', 'event', 'outcome', 'branch', 'commit', 'delivery'],
        page.items.map((one) => [one.receivedAt, one.event, one.outcome, one.branch, short(one.commit), one.delivery]),
      );
    });
  forges
    .command('requests <project>')
    .description('pull and merge requests there, what became of each here, and why one is not taken or fails')
    .option('--state <state>', requestStates.join(', '), requestState)
    .option('--limit <n>', 'how many', Number, 50)
    .option('--cursor <cursor>')
    .action(async (idOrSlug: string, options: { limit: number; cursor?: string; state?: ForgeRequest['state'] }) => {
      const client = await connect(globals());
      const page = await client.forge.requests(await findProject(client, idOrSlug), options);
      if (globals().json) return printJson(page);
      printTable(
        ['id', '', 'number', 'author', 'title', 'state', 'submission', 'why'],
        page.items.map((one) => [
          one.id,
          one.direction,
          one.number === null ? null : String(one.number),
          one.author,
          one.title,
          state(one.state),
          one.submissionId,
          whyOf(one),
        ]),
      );
    });
  forges
    .command('look <project> <request>')
    .description('look at a request now, also when it was given up')
    .action(async (idOrSlug: string, requestId: string) => {
      const client = await connect(globals());
      const request = await client.forge.look(await findProject(client, idOrSlug), requestId);
      if (globals().json) printJson(request);
      else printLine(`${request.id} is looked at: muster forge requests ${idOrSlug}`);
    });
  forges.command('remove <project>').action(async (idOrSlug: string) => {
    const client = await connect(globals());
    await client.forge.remove(await findProject(client, idOrSlug));
    if (globals().json) printJson({ ok: true });
    else printLine('The project is on no forge any more.');
  });
};

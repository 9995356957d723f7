import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { idOf } from '@muster/contracts';
import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { MusterError } from '#kernel';
import { type Actor, Authenticator } from '#messages/auth';
import { ReceivePush } from '#messages/integration';
import { Config } from '#platform/config';
import { writeHooks } from './hooks.ts';
import { FLUSH, PktReader, pktLine } from './pkt-line.ts';

export interface ExpectedPush {
  readonly actor: Actor;
  readonly teamId: string;
  readonly projectId: string;
  readonly branch: string;
}
/** The socket's folder in the system's place for such things. */
const FOLDER = 'muster-push-';
const taskId = idOf('task');

/** Said to the pusher as it stands. */
class PushRefused extends Error {}

/**
 * Where git's proc-receive hook knocks: receive-pack has checked the objects and moved them out of quarantine, and asks
 * what becomes of `refs/for/<branch>`. A push brings a one-time token, so that nobody else's process can speak for it.
 */
@Injectable()
export class PushDoor implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(PushDoor.name);
  private readonly expected = new Map<string, ExpectedPush>();
  private readonly sockets = new Set<Socket>();
  private folder = '';
  private hooks = '';
  private server: Server | null = null;

  constructor(
    private readonly config: Config,
    private readonly commands: CommandBus,
    private readonly authenticator: Authenticator,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.hooks = await writeHooks(this.config.dataDir);
    // Not in the data folder: the path of a socket may have 107 bytes. The folder is ours alone (0700).
    await this.clearLeftover();
    this.folder = await mkdtemp(join(tmpdir(), FOLDER));
    await writeFile(this.leftover, this.folder);
    const server = createServer((socket) => void this.serve(socket));
    await new Promise<void>((resolve, reject) =>
      server.once('error', reject).listen(join(this.folder, 'door'), resolve),
    );
    server.unref();
    this.server = server;
  }

  async onApplicationShutdown(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server?.close();
    if (this.folder !== '') await rm(this.folder, { recursive: true, force: true });
  }

  /** Where the next start reads which folder a killed server had. */
  private get leftover(): string {
    return join(this.config.dataDir, 'push-door');
  }

  private async clearLeftover(): Promise<void> {
    const folder = await readFile(this.leftover, 'utf8').catch(() => '');
    if (folder.startsWith(join(tmpdir(), FOLDER)) && !folder.includes('..'))
      await rm(folder, { recursive: true, force: true });
  }

  /** The hooks' folder and environment for one run of receive-pack; `end` forgets the token. */
  expect(push: ExpectedPush): { hooks: string; env: Record<string, string>; end: () => void } {
    const token = randomBytes(32).toString('base64url');
    this.expected.set(token, push);
    return {
      hooks: this.hooks,
      env: {
        MUSTER_HOOKS: this.hooks,
        MUSTER_HOOK_SOCKET: join(this.folder, 'door'),
        MUSTER_HOOK_TOKEN: token,
        MUSTER_NODE: process.execPath,
        MUSTER_BRANCH: push.branch,
      },
      end: () => this.expected.delete(token),
    };
  }

  private async serve(socket: Socket): Promise<void> {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.setTimeout(120_000, () => socket.destroy());
    const send = (channel: 1 | 2 | 3, text: string) => {
      const payload = Buffer.from(text);
      const head = Buffer.alloc(5);
      head.writeUInt8(channel, 0);
      head.writeUInt32BE(payload.length, 1);
      socket.write(Buffer.concat([head, payload]));
    };
    try {
      const reader = new PktReader(socket);
      const token = await reader.line(100);
      const push = this.expected.get(token);
      // Once: a second run of the hook would be a second submission.
      this.expected.delete(token);
      if (push === undefined) return;
      const [hello = ''] = await reader.section();
      const offered = hello.slice(hello.indexOf('\0') + 1).split(' ');
      const options = offered.includes('push-options');
      send(1, pktLine(`version=1\0${options ? 'push-options' : ''}\n`) + FLUSH);
      const commands = await reader.section();
      const given = options ? await reader.section() : [];
      for (const command of commands) {
        const [, commit = '', ref = ''] = command.split(' ');
        const { ok, says } = await this.receive(push, ref, commit, given);
        send(2, `${says}\n`);
        send(1, pktLine(ok ? `ok ${ref}\n` : `ng ${ref} ${says.replace(/\s+/g, ' ').slice(0, 800)}\n`));
      }
      send(1, FLUSH);
      send(3, '');
    } catch (error) {
      this.logger.warn(`A push ended early: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      socket.end();
    }
  }

  private async receive(
    push: ExpectedPush,
    ref: string,
    commit: string,
    options: readonly string[],
  ): Promise<{ ok: boolean; says: string }> {
    try {
      const branch = ref.slice('refs/for/'.length);
      if (branch !== push.branch)
        throw new PushRefused(`This project has no branch "${branch}" to submit to. Push to refs/for/${push.branch}.`);
      const { task, claim } = this.optionsOf(push, options);
      const submission = await this.commands.execute(
        new ReceivePush({
          teamId: push.teamId,
          projectId: push.projectId,
          branch,
          commit,
          task,
          pushedBy: push.actor.id,
          // A key acts for whoever holds it, an agent too: only who has logged in is a person.
          person: push.actor.kind === 'user' ? { id: push.actor.id, name: push.actor.name } : null,
          ...(claim === undefined ? {} : { claim }),
        }),
      );
      return {
        ok: true,
        says: `submission ${submission.id} received (${submission.state}); follow it at ${this.config.publicUrl}/api/submissions/${submission.id}`,
      };
    } catch (error) {
      if (error instanceof PushRefused) return { ok: false, says: error.message };
      if (error instanceof MusterError) return { ok: false, says: `${error.message} [${error.code}]` };
      this.logger.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
      return {
        ok: false,
        says: 'The server could not take the submission. Nothing was changed; push again in a moment.',
      };
    }
  }

  private optionsOf(
    push: ExpectedPush,
    options: readonly string[],
  ): { task: { taskId: string; fence: number } | null; claim?: string } {
    const values = new Map<string, string>();
    for (const option of options) {
      const at = option.indexOf('=');
      const name = at < 0 ? option : option.slice(0, at);
      if (!['task', 'fence', 'claim'].includes(name) || at < 0)
        throw new PushRefused(
          `The push option "${name.slice(0, 50)}" is not known. Use -o task=<task id> -o fence=<fence>, and -o claim=<words> if you like.`,
        );
      values.set(name, option.slice(at + 1));
    }
    const claim = values.get('claim')?.slice(0, 10_000);
    const [task, fence] = [values.get('task'), values.get('fence')];
    if (task === undefined && fence === undefined) {
      if (!this.authenticator.allows(push.actor, 'repository.import', push.projectId))
        throw new PushRefused(
          'Say which task this is for: git push -o task=<task id> -o fence=<fence>. Without a task this needs the permission repository.import.',
        );
      return { task: null, ...(claim === undefined ? {} : { claim }) };
    }
    if (task === undefined || !taskId.safeParse(task).success)
      throw new PushRefused('The push option task must be a task id: -o task=task_… -o fence=<fence>.');
    if (fence === undefined || !/^\d{1,15}$/.test(fence))
      throw new PushRefused('The push option fence must be the number that came with the task: -o fence=<fence>.');
    return { task: { taskId: task, fence: Number(fence) }, ...(claim === undefined ? {} : { claim }) };
  }
}

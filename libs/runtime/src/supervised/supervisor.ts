import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { CommandBus } from '@nestjs/cqrs';
import { Clock, MusterError, type NewEvent } from '#kernel';
import { IssueAgentKey, RevokeAgentKey } from '#messages/auth';
import { Config, strangersEnvironment } from '#platform/config';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';
import { Rounds } from '#platform/rounds';
import { DisconnectInstance } from '../commands/disconnect-instance.ts';
import { WakeUps } from '../dispatch/wake-ups.ts';
import {
  endLeases,
  findSupervised,
  noteEnded,
  noteError,
  noteStarted,
  noteStarting,
  supervisedToTend,
} from '../sql/supervised.ts';
import { Child } from './child.ts';
import { bootId, killTree, mark } from './processes.ts';
import { ProcessLogFile } from './process-log.ts';
import { refusalOf } from './program-policy.ts';
import { afterEnd, stopGraceMs } from './restart-rules.ts';
import { ServerIdentity } from './server-identity.ts';
import type { SupervisedRow } from './supervised-row.ts';

export const supervisedTopic = 'runtime.supervised';
const lookEveryMs = 1_000;
/** Of a stop of the server, which has others to wait for. */
const shareOfDrain = 0.5;

/**
 * Runs what the table says that this server's machine should run: one loop for each instance, which starts its process, waits
 * for its end and starts it again. What an earlier life of the server left behind is ended first; it cannot be watched.
 */
@Injectable()
export class Supervisor implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly log = new Logger('supervisor');
  private readonly tended = new Map<string, Tended>();
  private looking: Promise<void> | null = null;
  private again = false;
  private stopping = false;

  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly config: Config,
    private readonly clock: Clock,
    private readonly rounds: Rounds,
    private readonly signals: Signals,
    private readonly wakeUps: WakeUps,
    private readonly identity: ServerIdentity,
    private readonly http: HttpAdapterHost,
  ) {}

  /** Whether processes are started here at all. */
  get active(): boolean {
    return this.config.role === 'all' || this.config.role === 'worker';
  }

  onApplicationBootstrap(): void {
    if (!this.active) return;
    this.signals.subscribe(supervisedTopic, () => this.look());
    this.rounds.begin('supervised', lookEveryMs, async () => this.look(), 0);
  }

  /** Before sockets close: the agents hand back what they hold. */
  async onModuleDestroy(): Promise<void> {
    this.stopping = true;
    await this.looking;
    const graceMs = Math.min(stopGraceMs, this.config.drainSeconds * 1000 * shareOfDrain);
    for (const one of this.tended.values()) one.stop(graceMs);
    await Promise.all([...this.tended.values()].map(({ done }) => done));
  }

  private look(): void {
    this.again = true;
    this.looking ??= this.lookAll().finally(() => (this.looking = null));
  }

  private async lookAll(): Promise<void> {
    try {
      while (this.again && !this.stopping) {
        this.again = false;
        // Not listening yet: an agent that is started now could not connect.
        if (this.address() === null) return;
        const rows = await supervisedToTend(this.database, await this.identity.read());
        for (const row of rows) {
          const known = this.tended.get(row.id);
          if (known !== undefined) {
            if (row.desired === 'stopped') known.stop((row.stop_grace_seconds ?? stopGraceMs / 1000) * 1000);
          } else if (!this.stopping) this.tend(row);
        }
      }
    } catch (error) {
      this.log.warn({ err: error }, 'could not look for what to supervise; the next look is a second away');
    }
  }

  private tend(row: SupervisedRow): void {
    const stop = new AbortController();
    let graceMs = stopGraceMs;
    const self: Tended = {
      stop: (ms) => {
        if (stop.signal.aborted) return;
        graceMs = ms;
        stop.abort();
      },
      done: this.keep(row, stop.signal, () => graceMs)
        .catch(async (error: unknown) => {
          this.log.error({ err: error, instanceId: row.id }, 'lost sight of an instance; it is looked at again');
          await pause(lookEveryMs);
        })
        .finally(() => this.tended.delete(row.id)),
    };
    this.tended.set(row.id, self);
    // Wanted again while it was being stopped, or the other way round.
    void self.done.then(() => this.look());
  }

  private async keep(first: SupervisedRow, stop: AbortSignal, graceMs: () => number): Promise<void> {
    const { id } = first;
    if (first.mark !== null && !(await this.endLeftover(first))) return;
    while (!stop.aborted) {
      const row = await findSupervised(this.database, id);
      if (row === null || row.state === 'error') return;
      if (row.desired === 'stopped') break;
      const waitMs = row.next_start_at === null ? 0 : row.next_start_at.getTime() - this.clock.now().getTime();
      if (waitMs > 0) await pause(waitMs, undefined, { signal: stop }).catch(() => {});
      if (stop.aborted) break;
      if (!(await this.runOnce(row, stop, graceMs))) return this.tidy(id);
    }
    await this.settle(id, { kind: 'stopped' });
    await this.tidy(id);
  }

  /** The log of what is not wanted any more is kept. */
  private async tidy(id: string): Promise<void> {
    const row = await findSupervised(this.database, id);
    if (row?.desired === 'stopped') await rm(join(this.identity.folder, id, 'work'), { recursive: true, force: true });
  }

  /** One life of the process. @returns false when it is not to be started again by itself */
  private async runOnce(row: SupervisedRow, stop: AbortSignal, graceMs: () => number): Promise<boolean> {
    const folder = join(this.identity.folder, row.id);
    const log = new ProcessLogFile(
      folder,
      () => this.clock.now(),
      (error) => this.log.warn({ err: error, instanceId: row.id }, 'lines of its log are lost'),
    );
    const refusal = await refusalOf(row.command[0] ?? '', this.config.supervised);
    if (refusal !== null) return this.giveUp(row, refusal, log);
    let key: { keyId: string; credential: string };
    try {
      key = await this.commands.execute(
        new IssueAgentKey({
          teamId: row.team_id,
          onBehalfOf: row.started_by,
          name: `${row.agent}, supervised`,
          projectId: row.project_id,
        }),
      );
    } catch (error) {
      if (error instanceof MusterError && error.status < 500)
        return this.giveUp(row, `whoever started it may not start instances any more (${error.code})`, log);
      throw error;
    }

    const cookie = randomUUID();
    await this.database.transaction(async (tx) => {
      await noteStarting(tx, { id: row.id, mark: cookie, keyId: key.keyId });
      tx.append(eventOf(row, 'instance.process_started', { start: row.starts + 1 }));
    });
    const startedAt = performance.now();
    let how: string;
    let stuck: number[] = [];
    try {
      const work = join(folder, 'work');
      await mkdir(join(work, 'tmp'), { recursive: true, mode: 0o700 });
      const child = await Child.start({
        command: row.command,
        folder: work,
        cookie,
        secret: key.credential,
        log,
        env: strangersEnvironment({
          HOME: work,
          TMPDIR: join(work, 'tmp'),
          ...row.env,
          MUSTER_URL: this.address() ?? this.config.publicUrl,
          MUSTER_TOKEN: key.credential,
          [mark]: cookie,
        }),
      });
      log.add('server', `started as process ${child.identity.pid}`);
      const { pid, startedTicks } = child.identity;
      const noted = this.untilWritten(() =>
        noteStarted(this.database, { id: row.id, pid, startedTicks, bootId: bootId() }),
      );
      const stopAsked = new Promise<void>((resolve) => {
        if (stop.aborted) resolve();
        stop.addEventListener('abort', () => resolve(), { once: true });
      });
      const ended = await Promise.race([child.ended, stopAsked]);
      stuck = ended === undefined ? await child.stop(graceMs()) : await child.kill();
      how = await Promise.race([child.ended, pause(1000, 'it does not end', { ref: false })]);
      await noted;
    } catch (error) {
      how = `it could not be started: ${error instanceof Error ? error.message : String(error)}`;
    }
    log.add('server', how);
    await log.flushed();
    return this.settle(
      row.id,
      stuck.length > 0
        ? { kind: 'stuck', pids: stuck }
        : { kind: 'ended', how, ranMs: performance.now() - startedAt, stopped: stop.aborted },
    );
  }

  /** Of an earlier life of this server. Its marks are enough to find it; nobody else carries them. */
  private async endLeftover(row: SupervisedRow): Promise<boolean> {
    const leader =
      row.pid !== null && row.pid_started_ticks !== null && row.boot_id === bootId()
        ? { pid: row.pid, startedTicks: row.pid_started_ticks }
        : null;
    const stuck = await killTree(leader, row.mark ?? '');
    if (stuck.length === 0)
      this.log.log(`Ended what was left of ${row.agent} (${row.id}) by an earlier run of this server.`);
    return this.settle(row.id, stuck.length > 0 ? { kind: 'stuck', pids: stuck } : { kind: 'left' });
  }

  /**
   * Writes down that a process is over, and what follows from it: its key is void, its leases are at an end.
   * @returns whether it is to be started again
   */
  private async settle(id: string, end: End): Promise<boolean> {
    const goesOn = await this.untilWritten(async () => {
      const row = await findSupervised(this.database, id);
      if (row === null) return false;
      if (row.key_id !== null) await this.commands.execute(new RevokeAgentKey(row.team_id, row.key_id));
      await this.commands.execute(new DisconnectInstance(id, null, { kind: 'lost' }));
      const next = this.nextOf(row, end);
      const after = await this.database.transaction(async (tx) => {
        if (end.kind === 'stuck') await noteError(tx, id, next.reason ?? '');
        else await noteEnded(tx, { id, ...next });
        const written = await findSupervised(tx, id);
        if (written?.state === 'error') await tx.sql(`update instances set state = 'error' where id = $1`, [id]);
        // Nothing had been running, or what cannot be ended was told of before.
        if (written === null || row.mark === null || (end.kind === 'stuck' && row.state === 'error')) return written;
        await endLeases(tx, id);
        const { state, reason, failures } = written;
        tx.append(eventOf(row, 'instance.process_ended', { state, reason, failures }));
        return written;
      });
      this.wakeUps.somethingToClaim();
      return after?.state === 'backing_off' || after?.state === 'starting';
    });
    return goesOn ?? false;
  }

  private nextOf(
    row: SupervisedRow,
    end: End,
  ): Pick<SupervisedRow, 'state' | 'reason' | 'failures'> & { nextStartInMs: number | null } {
    const { failures } = row;
    switch (end.kind) {
      case 'stuck':
        return {
          state: 'error',
          reason: `processes ${end.pids.join(', ')} cannot be ended`,
          failures,
          nextStartInMs: null,
        };
      case 'left':
        return { state: 'starting', reason: 'the server was started again', failures, nextStartInMs: null };
      case 'stopped':
        return { state: 'stopped', reason: 'the server stopped', failures, nextStartInMs: null };
      case 'ended': {
        if (end.stopped || row.desired === 'stopped')
          return { state: 'stopped', reason: 'the server stopped', failures: 0, nextStartInMs: null };
        const next = afterEnd({ failures, restarts: row.restarts, ranMs: end.ranMs, random: Math.random() });
        return next.kind === 'restart'
          ? { state: 'backing_off', reason: end.how, failures: next.failures, nextStartInMs: next.afterMs }
          : {
              state: 'error',
              reason: `${end.how}, ${next.failures} times in a row`,
              failures: next.failures,
              nextStartInMs: null,
            };
      }
    }
  }

  private async giveUp(row: SupervisedRow, reason: string, log: ProcessLogFile): Promise<false> {
    log.add('server', `not started: ${reason}`);
    await log.flushed();
    await this.database.transaction(async (tx) => {
      await noteError(tx, row.id, reason);
      await tx.sql(`update instances set state = 'error' where id = $1`, [row.id]);
      tx.append(eventOf(row, 'instance.process_ended', { state: 'error', reason, failures: row.failures }));
    });
    return false;
  }

  /** The database may be away for a while; what happened to a process happened. Null when the server stops first. */
  private async untilWritten<T>(write: () => Promise<T>): Promise<T | null> {
    for (let tries = 0; ; tries++) {
      try {
        return await write();
      } catch (error) {
        if (this.stopping && tries > 2) return null;
        this.log.warn({ err: error }, 'could not write down what became of a process; it is tried again');
        await pause(this.stopping ? 200 : 1_000, undefined, { ref: false });
      }
    }
  }

  /** Where a process on this machine reaches this server; null before it listens. */
  private address(): string | null {
    const address = (this.http.httpAdapter.getHttpServer() as Server).address();
    if (typeof address !== 'object' || address === null) return null;
    const anywhere = address.address === '0.0.0.0' || address.address === '::';
    const host = anywhere ? '127.0.0.1' : address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `http://${host}:${address.port}`;
  }
}

interface Tended {
  stop(graceMs: number): void;
  readonly done: Promise<void>;
}

type End =
  | { readonly kind: 'ended'; readonly how: string; readonly ranMs: number; readonly stopped: boolean }
  | { readonly kind: 'stuck'; readonly pids: readonly number[] }
  | { readonly kind: 'left' }
  | { readonly kind: 'stopped' };

const eventOf = (row: SupervisedRow, type: string, data: Record<string, unknown>): NewEvent => ({
  type,
  teamId: row.team_id,
  projectId: null,
  subject: row.id,
  data: { instanceId: row.id, agent: row.agent, ...data },
});

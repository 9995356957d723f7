import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import type { RemoteView } from '@muster/contracts';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { SyncRemote } from './commands/sync-remote.ts';

const EVERY_MS = 10_000;
const AT_ONCE = 10;

/** Looks at every remote whose moment has come; one that hangs keeps nobody but the next of this round waiting. */
@Injectable()
export class KeepInStep implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(KeepInStep.name);
  readonly #stop = new AbortController();
  #looking: Promise<void> | null = null;
  #asked = false;

  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly rounds: Rounds,
  ) {}

  onApplicationBootstrap(): void {
    if (this.config.role !== 'all' && this.config.role !== 'worker') return;
    this.rounds.begin('remotes', EVERY_MS, (signal) => this.round(signal), EVERY_MS);
  }

  /** Without waiting for the next round. Whoever asks while one runs gets another one behind it. */
  soon(): void {
    this.#asked = true;
    this.#looking ??= this.#look().finally(() => (this.#looking = null));
  }

  async #look(): Promise<void> {
    while (this.#asked && !this.#stop.signal.aborted) {
      this.#asked = false;
      await this.round(this.#stop.signal).catch((error: unknown) =>
        this.logger.error(`Remotes could not be looked at: ${String(error)}`),
      );
    }
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stop.abort();
    await this.#looking;
  }

  async round(signal?: AbortSignal): Promise<void> {
    const due = await this.database.sql<Pick<RemoteView, 'projectId' | 'direction'>>(
      `select project_id as "projectId", direction from project_remotes where next_action_at <= muster_now()
       order by next_action_at, project_id, direction limit $1`,
      [AT_ONCE],
    );
    await Promise.all(
      due.map(async ({ projectId, direction }) => {
        if (signal?.aborted === true) return;
        try {
          await this.commands.execute(new SyncRemote(projectId, direction));
        } catch (error) {
          this.logger.error(`The remote of ${projectId} (${direction}) could not be looked at: ${String(error)}`);
        }
      }),
    );
  }
}

import { type PostgresOptions, type PostgresServer, startPostgres } from '#platform/database';

const lookEveryMs = 1000;

/**
 * Keeps the built-in PostgreSQL running: when its process has ended without being told to, it is started again behind
 * the same URL. Connections that it took along are opened anew by the pools.
 */
export class PostgresKeeper {
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  private constructor(
    private readonly options: PostgresOptions,
    private postgres: PostgresServer,
  ) {
    this.#lookLater();
  }

  static async start(options: PostgresOptions): Promise<PostgresKeeper> {
    return new PostgresKeeper(options, await startPostgres(options));
  }

  get url(): string {
    return this.postgres.url;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
    await this.postgres.stop();
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().then(() => {
        if (!this.#stopped) this.#lookLater();
      });
    }, lookEveryMs).unref();
  }

  async #look(): Promise<void> {
    if (await this.postgres.alive()) return;
    const say = this.options.log ?? (() => {});
    say('The built-in PostgreSQL has ended by itself and is started again.');
    try {
      const again = await startPostgres(this.options);
      if (again.url !== this.postgres.url) {
        say('Its port was taken meanwhile, so nothing reaches it: restart Muster.');
        await again.stop();
        return;
      }
      this.postgres = again;
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
    }
  }
}

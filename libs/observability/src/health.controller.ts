import { Controller, Get, Header, Res, ServiceUnavailableException } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { HealthCheckService, HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import type { FastifyReply } from 'fastify';
import { Drain, Public, Requires } from '#platform/http';
import { Database } from '#platform/database';
import { EventLog } from '#platform/eventlog';
import { Signals } from '#platform/redis';
import { Metrics } from './metrics.ts';
import { Startup } from './startup.ts';

@ApiExcludeController()
@Controller()
export class HealthController {
  constructor(
    private readonly checks: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly database: Database,
    private readonly events: EventLog,
    private readonly signals: Signals,
    private readonly drain: Drain,
    private readonly startup: Startup,
    private readonly metrics: Metrics,
  ) {}

  /** The process answers. Says nothing about what it depends on: a restart would not help there. */
  @Get('livez')
  @Public()
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** Send requests here. */
  @Get('readyz')
  @Public()
  async ready(): Promise<{ status: 'ok' }> {
    if (this.drain.draining || !this.startup.done) throw new ServiceUnavailableException();
    await this.checks.check([() => this.#database()]);
    return { status: 'ok' };
  }

  @Get('startupz')
  @Public()
  started(): { status: 'ok' } {
    if (!this.startup.done) throw new ServiceUnavailableException();
    return { status: 'ok' };
  }

  @Get('health')
  @Requires('health.read')
  async detail(@Res({ passthrough: true }) reply: FastifyReply): Promise<object> {
    try {
      return await this.checks.check([() => this.#database(), () => this.#eventLog(), () => this.#signals()]);
    } catch (error) {
      // Operators want to read what is down, not only that something is.
      if (!(error instanceof ServiceUnavailableException)) throw error;
      void reply.status(503);
      return error.getResponse() as object;
    }
  }

  @Get('metrics')
  @Public()
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  measured(): Promise<string> {
    return this.metrics.print();
  }

  async #database(): Promise<HealthIndicatorResult<'database'>> {
    const indicator = this.indicators.check('database');
    const start = performance.now();
    try {
      const [row] = await within(
        2000,
        this.database.sql<{ version: string }>(`select current_setting('server_version') as version`),
      );
      return indicator.up({ version: row?.version, ms: Math.round(performance.now() - start) });
    } catch {
      return indicator.down('PostgreSQL does not answer.');
    }
  }

  /** Never down: without Redis everything goes on, a little later. */
  #signals(): HealthIndicatorResult<'signals'> {
    const { kind, connected, counts } = this.signals;
    return this.indicators.check('signals').up({ over: kind, connected, ...counts });
  }

  async #eventLog(): Promise<HealthIndicatorResult<'eventLog'>> {
    const indicator = this.indicators.check('eventLog');
    try {
      const [row] = await within(
        2000,
        this.database.sql<{ lag: number; dead: number }>(
          `select coalesce(extract(epoch from clock_timestamp() - min(due_at)
               filter (where dead_at is null and due_at <= clock_timestamp())), 0) as lag,
             count(*) filter (where dead_at is not null) as dead
           from event_deliveries`,
        ),
      );
      return indicator.up({
        position: await this.events.head(),
        reactionLagSeconds: row?.lag ?? 0,
        deadDeliveries: row?.dead ?? 0,
      });
    } catch {
      return indicator.down('The event log cannot be read.');
    }
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>(
    (_, reject) => (timer = setTimeout(() => reject(new Error('It took too long.')), ms)),
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

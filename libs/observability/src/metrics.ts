import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type Histogram, metrics } from '@opentelemetry/api';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { Database } from '#platform/database';
import { SocketAdapter } from '#platform/http';
import { Signals } from '#platform/redis';

/** Collects when Prometheus asks, not by the clock, and without a server of its own. */
class PullReader extends MetricReader {
  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }
  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }
}

/** What the server measures about itself, in OpenTelemetry's words. */
@Injectable()
export class Metrics implements OnApplicationShutdown {
  readonly #reader = new PullReader();
  readonly #provider = new MeterProvider({
    readers: [this.#reader],
    resource: resourceFromAttributes({ 'service.name': 'muster' }),
  });
  readonly #serializer = new PrometheusSerializer(undefined, false, undefined, false, false);
  readonly #loop = monitorEventLoopDelay({ resolution: 20 });
  readonly requests: Histogram;

  constructor(
    private readonly database: Database,
    private readonly sockets: SocketAdapter,
    private readonly signals: Signals,
  ) {
    // Rooms ask the API for their meters and know nothing of this provider.
    metrics.setGlobalMeterProvider(this.#provider);
    const meter = this.#provider.getMeter('muster');
    this.requests = meter.createHistogram('http.server.request.duration.seconds', {
      description: 'How long requests took, by route and status.',
      advice: { explicitBucketBoundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] },
    });
    const gauge = (name: string, description: string, observe: () => number): void => {
      meter.createObservableGauge(name, { description }).addCallback((result) => result.observe(observe()));
    };
    const { pool } = this.database;
    gauge('muster.database.pool.open', 'Connections to PostgreSQL that are open.', () => pool.totalCount);
    gauge('muster.database.pool.idle', 'Connections to PostgreSQL that nobody uses.', () => pool.idleCount);
    gauge(
      'muster.database.pool.waiting',
      'Requests that wait for a connection to PostgreSQL.',
      () => pool.waitingCount,
    );
    gauge('muster.sockets.open', 'WebSockets that are open.', () => this.sockets.openSockets);
    gauge('muster.signals.connected', 'Whether hints reach the other replicas.', () => Number(this.signals.connected));
    const hints = meter.createObservableCounter('muster.signals', {
      description: 'Messages with hints, to and from other replicas, and those that could not be sent.',
    });
    hints.addCallback((result) => {
      for (const way of ['sent', 'received', 'dropped'] as const) result.observe(this.signals.counts[way], { way });
    });
    gauge('process.resident.memory.bytes', 'Resident memory.', () => process.memoryUsage.rss());
    gauge('nodejs.heap.used.bytes', 'Used JavaScript heap.', () => process.memoryUsage().heapUsed);
    gauge('process.uptime.seconds', 'Time since the start.', () => process.uptime());
    this.#loop.enable();
    gauge('nodejs.eventloop.delay.p99.seconds', 'Delay of the event loop, 99th percentile since the last look.', () => {
      const seconds = this.#loop.percentile(99) / 1e9;
      this.#loop.reset();
      return Number.isFinite(seconds) ? seconds : 0;
    });
    meter
      .createObservableCounter('process.cpu.seconds', { description: 'Processor time used.' })
      .addCallback((result) => {
        const { user, system } = process.cpuUsage();
        result.observe((user + system) / 1e6);
      });

    const position = meter.createObservableGauge('muster.events.position', {
      description: 'Position of the newest event.',
    });
    const lag = meter.createObservableGauge('muster.reactions.lag.seconds', {
      description: 'Age of the oldest delivery that is due.',
    });
    const open = meter.createObservableGauge('muster.reactions.open', {
      description: 'Deliveries to reactions that are not done.',
    });
    const dead = meter.createObservableGauge('muster.reactions.dead', {
      description: 'Deliveries that failed for good.',
    });
    meter.addBatchObservableCallback(
      async (result) => {
        const [row] = await this.database.sql<{ position: number; lag: number; open: number; dead: number }>(
          `select coalesce((select position from events order by position desc limit 1), 0) as position,
             coalesce(extract(epoch from clock_timestamp() - min(due_at)
               filter (where dead_at is null and due_at <= clock_timestamp())), 0) as lag,
             count(*) filter (where dead_at is null) as open,
             count(*) filter (where dead_at is not null) as dead
           from event_deliveries`,
        );
        if (row === undefined) return;
        result.observe(position, row.position);
        result.observe(lag, row.lag);
        result.observe(open, row.open);
        result.observe(dead, row.dead);
      },
      [position, lag, open, dead],
    );
  }

  /** Prometheus' text format. */
  async print(): Promise<string> {
    const { resourceMetrics } = await this.#reader.collect();
    return this.#serializer.serialize(resourceMetrics);
  }

  async onApplicationShutdown(): Promise<void> {
    this.#loop.disable();
    metrics.disable();
    await this.#provider.shutdown();
  }
}

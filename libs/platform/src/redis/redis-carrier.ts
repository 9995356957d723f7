import { Logger } from '@nestjs/common';
import { Redis, type RedisOptions } from 'ioredis';
import type { Carrier, CarrierListener } from './carrier.ts';

/** Every replica hears its own beat; connections on which none came for so many are dead and are opened anew. */
const missedBeats = 3;
const beat = '[]';

/** Redis' publish and subscribe. Nothing is stored, so nothing is lost with it but the hints that were under way. */
export class RedisCarrier implements Carrier {
  readonly kind = 'redis';
  readonly maxBytes = 64 * 1024;
  readonly #log = new Logger('signals');
  readonly #publisher: Redis;
  readonly #subscriber: Redis;
  #channel: string | null = null;
  #subscribed = false;
  #heardAt = 0;
  #beat: NodeJS.Timeout | undefined;
  #troubled = false;
  #stopping = false;

  /** @param channelOf names the installation, so that two of them may share one Redis; asked until it answers */
  constructor(
    url: string,
    private readonly channelOf: () => Promise<string>,
    private readonly beatMs = 5_000,
  ) {
    const options: RedisOptions = {
      lazyConnect: true,
      // Hints are not worth keeping: while the connection is down they are dropped.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      connectTimeout: 5_000,
      commandTimeout: 2_000,
      disconnectTimeout: 500,
      retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 2_000) * (0.5 + Math.random() / 2),
    };
    this.#publisher = new Redis(url, { ...options, connectionName: 'muster-publish' });
    this.#subscriber = new Redis(url, { ...options, connectionName: 'muster-subscribe', autoResubscribe: false });
  }

  get connected(): boolean {
    return this.#subscribed && this.#publisher.status === 'ready';
  }

  start(listener: CarrierListener): void {
    for (const client of [this.#publisher, this.#subscriber])
      client.on('error', (error: Error) => this.#trouble(error));
    this.#publisher.on('ready', () => this.#opened(listener));
    this.#subscriber.on('close', () => (this.#subscribed = false));
    this.#subscriber.on('ready', () => void this.#subscribe(listener));
    this.#subscriber.on('message', (_channel: string, text: string) => {
      this.#heardAt = performance.now();
      if (text !== beat) listener.received(text);
    });
    for (const client of [this.#publisher, this.#subscriber])
      client.connect().catch((error: Error) => this.#trouble(error));
    this.#beat = setInterval(() => {
      if (!this.connected) return;
      this.send([beat]).catch(() => {});
      if (performance.now() - this.#heardAt < missedBeats * this.beatMs) return;
      this.#subscribed = false;
      this.#trouble('it is connected and says nothing');
      for (const client of [this.#publisher, this.#subscriber]) client.disconnect(true);
    }, this.beatMs);
    this.#beat.unref();
  }

  async send(texts: readonly string[]): Promise<void> {
    const channel = this.#channel;
    if (channel === null) throw new Error('Redis has not been reached yet.');
    await Promise.all(texts.map((text) => this.#publisher.publish(channel, text)));
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#beat);
    this.#publisher.disconnect();
    this.#subscriber.disconnect();
  }

  async #subscribe(listener: CarrierListener): Promise<void> {
    try {
      this.#channel ??= await this.channelOf();
      await this.#subscriber.subscribe(this.#channel);
      this.#subscribed = true;
      this.#heardAt = performance.now();
      this.#opened(listener);
    } catch (error) {
      this.#trouble(error);
      if (!this.#stopping) this.#subscriber.disconnect(true);
    }
  }

  #opened(listener: CarrierListener): void {
    if (!this.connected) return;
    if (this.#troubled) this.#log.log('Redis answers again.');
    this.#troubled = false;
    listener.opened();
  }

  /** Once for each outage, not once for each attempt. */
  #trouble(error: unknown): void {
    if (this.#troubled || this.#stopping) return;
    this.#troubled = true;
    this.#log.warn(
      `Redis does not answer; until it does, only time is lost: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

import { assignmentMessage, instanceWish } from '@muster/contracts';
import { z } from 'zod';
import { atMost, backoffMs, pause } from './backoff.ts';
import { MusterApiError } from './errors.ts';
import type { Http } from './http.ts';
import { maxRefusals, passes, type AttemptVerb, type Link, type LinkOwner, type LinkTimes } from './link.ts';

const registration = z.object({ instanceId: z.string(), leaseMs: z.number(), heartbeatMs: z.number() });
const claimed = z.object({ tasks: z.array(assignmentMessage) });
const beaten = z
  .object({
    stale: z.array(z.object({ taskId: z.string(), fence: z.number() })).default([]),
    wanted: instanceWish.default('run'),
    wantedReason: z.string().nullable().default(null),
  })
  .catch({ stale: [], wanted: 'run', wantedReason: null });

/** For agents that cannot hold a socket: the same verbs as requests, new tasks by long poll. */
export class PollingLink implements Link {
  readonly ended: Promise<void>;
  readonly #http: Http;
  readonly #owner: LinkOwner;
  readonly #times: LinkTimes;
  readonly #waitSeconds: number;
  readonly #stop = new AbortController();
  #instanceId = '';
  #accepting = true;
  #wake: () => void = () => undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #end!: { resolve: () => void; reject: (error: Error) => void };

  constructor(http: Http, owner: LinkOwner, times: LinkTimes, waitSeconds = 20) {
    this.#http = http;
    this.#owner = owner;
    this.#times = times;
    this.#waitSeconds = waitSeconds;
    this.ended = new Promise((resolve, reject) => (this.#end = { resolve, reject }));
    this.ended.catch(() => undefined);
  }

  async open(): Promise<void> {
    await this.#register();
    void this.#claimLoop();
  }

  async #register(): Promise<void> {
    const answer = await this.#http.call({
      method: 'POST',
      path: '/api/runtime/instances',
      body: { ...this.#owner.hello, ...(this.#instanceId === '' ? {} : { resume: this.#instanceId }) },
      answer: registration,
    });
    this.#instanceId = answer.instanceId;
    this.#owner.onWelcome(answer.instanceId);
    clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => void this.#beat(), answer.heartbeatMs);
  }

  async #beat(): Promise<void> {
    try {
      const answer = await this.#http.call({
        method: 'POST',
        path: `/api/runtime/instances/${this.#instanceId}/heartbeat`,
        body: { held: this.#owner.held() },
        answer: beaten,
        signal: this.#stop.signal,
      });
      for (const lease of answer.stale) this.#owner.onCancel(lease.taskId, lease.fence, 'stale_lease');
      this.#owner.onWanted(answer.wanted, answer.wantedReason);
    } catch {
      // The next beat or the claim loop finds out what is wrong.
    }
  }

  async #claimLoop(): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted;) {
      const count = this.#accepting ? this.#owner.freeSlots() : 0;
      if (count === 0) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      try {
        const answer = await this.#http.call({
          method: 'POST',
          path: `/api/runtime/instances/${this.#instanceId}/claim`,
          body: { waitSeconds: this.#waitSeconds, count },
          answer: claimed,
          signal: this.#stop.signal,
          timeoutMs: (this.#waitSeconds + 15) * 1_000,
        });
        failures = 0;
        for (const task of answer.tasks) this.#owner.onTask(task);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (error instanceof MusterApiError && error.status === 404) this.#instanceId = '';
        else if (error instanceof MusterApiError && error.status < 500 && error.status !== 429) {
          this.#stop.abort();
          clearInterval(this.#heartbeat);
          this.#end.reject(error);
          return;
        }
        this.#owner.onDisconnect(error instanceof Error ? error.message : String(error));
        await pause(backoffMs(failures++, this.#times), this.#stop.signal);
        await this.#register().catch(() => undefined);
      }
    }
  }

  async request(message: AttemptVerb): Promise<unknown> {
    const { type, taskId, fence, ...body } = message;
    // A lost server is waited for: the attempt stands or falls with its fence, not with the connection. One that could not do it
    // just now is asked again: a cost or a result must not get lost for that.
    for (let attempt = 0, refusals = 0; ; attempt += 1) {
      try {
        return await this.#http.call({
          method: 'POST',
          path: `/api/tasks/${taskId}/attempts/${fence}/${type}`,
          body,
          answer: z.unknown(),
          signal: this.#stop.signal,
        });
      } catch (error) {
        if (this.#stop.signal.aborted) throw error;
        if (error instanceof MusterApiError && (!passes(error.status) || ++refusals > maxRefusals)) throw error;
        await pause(backoffMs(attempt, this.#times), this.#stop.signal);
      }
    }
  }

  slotFreed(): void {
    this.#wake();
  }

  pause(): void {
    this.#accepting = false;
  }

  resume(): void {
    this.#accepting = true;
    this.#wake();
  }

  async close(reason: string): Promise<void> {
    if (this.#stop.signal.aborted) return;
    await atMost(
      this.#http
        .call({
          method: 'POST',
          path: `/api/runtime/instances/${this.#instanceId}/bye`,
          body: { reason: reason.slice(0, 500) },
          answer: z.unknown(),
        })
        .catch(() => undefined),
      2_000,
    );
    this.#stop.abort();
    clearInterval(this.#heartbeat);
    this.#wake();
    this.#end.resolve();
  }
}

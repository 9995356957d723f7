import type { IncomingHttpHeaders } from 'node:http';
import type { ForgeApi } from './forge-api.ts';

export const statusStates = ['pending', 'success', 'failure', 'error'] as const;
/** What a forge shows beside a commit; one for each context, the last one counts. */
export interface Status {
  readonly context: string;
  readonly state: (typeof statusStates)[number];
  readonly description: string;
  readonly url: string;
}

/** One place that a check run points to. */
export interface Annotation {
  readonly path: string;
  readonly line: number;
  readonly level: 'notice' | 'warning' | 'failure';
  readonly title: string;
  readonly message: string;
}
/** A status with more to say: a page of its own, and findings at their lines. */
export interface Check extends Status {
  /** Ours, by which it is found again: one for each submission and context. */
  readonly externalId: string;
  readonly summary: string;
  /** In an order that stays the same: what was sent is known by its number. */
  readonly annotations: readonly Annotation[];
}

/** What a webhook says has happened, as far as we care. */
export type Happened =
  | {
      readonly kind: 'push';
      readonly event: string;
      readonly repository: string;
      readonly branch: string;
      readonly commit: string;
    }
  | { readonly kind: 'other'; readonly event: string };

export interface SentWebhook {
  readonly headers: IncomingHttpHeaders;
  /** Byte by byte: signatures are about bytes. */
  readonly body: Buffer;
}

/** One kind of forge, behind words that all have in common. */
export interface Forge {
  /** Whether it was sent by somebody who knows the secret. Compared in constant time. */
  isAuthentic(sent: SentWebhook, secret: string, now: Date): boolean;
  /**
   * How the forge names this delivery, the same when it is sent again. `covered`: the signature is about the name, too, so that nobody
   * can send what they captured under another one.
   */
  deliveryOf(sent: SentWebhook): { readonly name: string | null; readonly covered: boolean };
  understand(headers: IncomingHttpHeaders, payload: unknown): Happened;
  setStatus(api: ForgeApi, repository: string, commit: string, status: Status): Promise<void>;
  /** Whether the last one of this context says just that already. */
  hasStatus(api: ForgeApi, repository: string, commit: string, status: Status): Promise<boolean>;
  /** Has the forge show just that, by looking first at what it shows: safe to repeat from anywhere. Null where there are no check runs. */
  readonly showCheck: ((api: ForgeApi, repository: string, commit: string, check: Check) => Promise<void>) | null;
}

/** Null for what is missing or sent twice. */
export const headerOf = (headers: IncomingHttpHeaders, name: string): string | null => {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
};

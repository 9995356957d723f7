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
}

/** Null for what is missing or sent twice. */
export const headerOf = (headers: IncomingHttpHeaders, name: string): string | null => {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
};

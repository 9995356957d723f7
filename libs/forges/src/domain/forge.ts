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
  | {
      readonly kind: 'request';
      readonly event: string;
      /** Where it wants to go, not where it comes from. */
      readonly repository: string;
      readonly number: number;
    }
  | { readonly kind: 'other'; readonly event: string };

/** A pull or merge request as the forge itself shows it. */
export interface RequestThere {
  readonly number: number;
  readonly state: 'open' | 'closed' | 'merged';
  readonly draft: boolean;
  readonly title: string;
  readonly url: string;
  readonly author: { readonly id: number; readonly name: string };
  readonly branch: string;
  readonly head: string;
  /** Its branch is in another repository, or in one that is gone. */
  readonly fork: boolean;
  readonly base: string;
}

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
  readonly requests: ForgeRequests;
  /** Has the forge show just that, by looking first at what it shows: safe to repeat from anywhere. Null where there are no check runs. */
  readonly showCheck: ((api: ForgeApi, repository: string, commit: string, check: Check) => Promise<void>) | null;
}

export interface RequestWish {
  readonly branch: string;
  readonly base: string;
  readonly title: string;
  readonly body: string;
}
/** Pull requests of GitHub, merge requests of GitLab. */
export interface ForgeRequests {
  /** Where git finds the head of one, in the repository that it wants to go to. */
  refOf(number: number): string;
  find(api: ForgeApi, repository: string, number: number): Promise<RequestThere | null>;
  /** All that are open, as far as anybody should read. */
  open(api: ForgeApi, repository: string): Promise<RequestThere[]>;
  /** Of a branch of the repository itself: the open one, else the last one. */
  ofBranch(api: ForgeApi, repository: string, branch: string): Promise<RequestThere | null>;
  make(api: ForgeApi, repository: string, wish: RequestWish): Promise<RequestThere>;
  describe(
    api: ForgeApi,
    repository: string,
    number: number,
    words: Pick<RequestWish, 'title' | 'body'>,
  ): Promise<void>;
  close(api: ForgeApi, repository: string, number: number): Promise<void>;
  /** Whether they may push to the repository. */
  mayWrite(api: ForgeApi, repository: string, author: RequestThere['author']): Promise<boolean>;
  /** The comment that holds these words; null: there is none. */
  findComment(api: ForgeApi, repository: string, number: number, words: string): Promise<string | null>;
  addComment(api: ForgeApi, repository: string, number: number, text: string): Promise<string>;
  /** False: it is not there any more. */
  changeComment(api: ForgeApi, repository: string, number: number, id: string, text: string): Promise<boolean>;
}

/** Null for what is missing or sent twice. */
export const headerOf = (headers: IncomingHttpHeaders, name: string): string | null => {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
};

/** The one that is open, else the last one. */
export const openOrLast = (requests: readonly RequestThere[]): RequestThere | null =>
  requests.find(({ state }) => state === 'open') ?? requests.toSorted((a, b) => b.number - a.number)[0] ?? null;

import type { Plan } from './parts.ts';

/** What the bench tells the processes of a contender, and what they answer. */
export type Order = { readonly id: number } & Wish;
export type Wish =
  | { readonly verb: 'open'; readonly plan: Plan }
  | { readonly verb: 'close' }
  | { readonly verb: 'fill'; readonly count: number; readonly batch: number; readonly callers: number }
  | { readonly verb: 'ones'; readonly seconds: number; readonly callers: number }
  | { readonly verb: 'bulk'; readonly seconds: number; readonly batch: number; readonly callers: number }
  | { readonly verb: 'pace'; readonly rate: number; readonly seconds: number }
  | {
      readonly verb: 'flow';
      readonly count: number;
      readonly batch: number;
      readonly callers: number;
      readonly window: number;
    }
  | { readonly verb: 'start'; readonly plan: Plan }
  | { readonly verb: 'settled' }
  | { readonly verb: 'stop' };

export interface Answer {
  readonly kind: 'answer';
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}
export interface Progress {
  readonly kind: 'progress';
  readonly accepted: number;
  /** When the last of them was accepted. */
  readonly atUs: number;
  readonly firstStartedUs: number;
}

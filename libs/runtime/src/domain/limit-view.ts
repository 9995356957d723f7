import type { LimitView } from '@muster/contracts';
import type { Limit } from './limit-budget.ts';

/** A limit with what is used of it, as it is read from the database. */
export interface LimitRow extends Limit {
  readonly running: number;
  readonly started: number;
  readonly nextStartAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly updatedBy: string;
}

export const limitViewOf = ({ nextStartAt, createdAt, updatedAt, ...row }: LimitRow): LimitView => ({
  ...row,
  nextStartAt: nextStartAt?.toISOString() ?? null,
  createdAt: createdAt.toISOString(),
  updatedAt: updatedAt.toISOString(),
});

/** In words for people: `2 at once and 10 in 60 s of code.review by coder`. */
export function inWords(limit: Limit): string {
  const many = [
    ...(limit.maxRunning === null ? [] : [`${limit.maxRunning} at once`]),
    ...(limit.maxStarts === null ? [] : [`${limit.maxStarts} starts in ${limit.perSeconds ?? 0} s`]),
  ].join(' and ');
  const what = [
    `of ${limit.capability ?? 'any capability'}`,
    ...(limit.agent === null ? [] : [`by ${limit.agent}`]),
    ...(limit.projectId === null ? ['in all projects'] : [`in ${limit.projectId}`]),
  ].join(' ');
  return `${many} ${what}`;
}

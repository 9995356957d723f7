import type { Tx } from '#kernel';
import type { Shelf } from './blobs.ts';

const lockClasses: Readonly<Record<Shelf, number>> = { tasks: 7265010, verifications: 7265011 };

/**
 * Whoever stores a content and whoever takes it away exclude each other until their transactions end: the file is everybody's
 * that has the same content, so what says who has it and the file itself have to change together.
 */
export const lockToKeep = (tx: Pick<Tx, 'sql'>, shelf: Shelf, digest: string) =>
  tx.sql(`select pg_advisory_xact_lock_shared($1::int, hashtext($2))`, [lockClasses[shelf], digest]);
export const lockToDrop = (tx: Pick<Tx, 'sql'>, shelf: Shelf, digest: string) =>
  tx.sql(`select pg_advisory_xact_lock($1::int, hashtext($2))`, [lockClasses[shelf], digest]);

import type { Tx } from '#kernel';

/** Who stores a content and who takes it away exclude each other: the file and what says that it is there change together. */
const lockClass = 7265011;
export const lockToKeep = (tx: Tx, digest: string) =>
  tx.sql(`select pg_advisory_xact_lock_shared($1::int, hashtext($2))`, [lockClass, digest]);
export const lockToDrop = (tx: Tx, digest: string) =>
  tx.sql(`select pg_advisory_xact_lock($1::int, hashtext($2))`, [lockClass, digest]);

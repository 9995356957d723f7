import type pg from 'pg';

/**
 * Gives lost connections back to their pool. Kysely gives back what a transaction used when its commit or its rollback
 * succeeded; with the connection gone neither does, and each such loss would leave the pool one connection poorer until
 * nobody gets any.
 */
export function giveBackLostConnections(pool: pg.Pool): void {
  const held = new WeakSet<pg.PoolClient>();
  const watched = new WeakSet<pg.PoolClient>();
  pool.on('acquire', (client) => {
    held.add(client);
    if (watched.has(client)) return;
    watched.add(client);
    // Whoever holds it is told by its next statement; without a listener the process would end.
    client.on('error', () => {});
    client.once('end', () => {
      if (!held.has(client)) return;
      client.release(true);
      // Who gives back what they took, as they should, must not be told that somebody else was faster.
      client.release = () => {};
    });
  });
  pool.on('release', (_error, client) => held.delete(client));
}

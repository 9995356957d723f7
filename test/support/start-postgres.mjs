import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../../libs/platform/src/database/embedded-postgres.ts';

/** One PostgreSQL for the whole run, in a folder of its own, without the waits that durability costs. */
export default async function startTestPostgres() {
  const folder = await mkdtemp(join(tmpdir(), 'muster-test-'));
  const server = await startPostgres({
    folder: join(folder, 'postgres'),
    settings: {
      fsync: 'off',
      full_page_writes: 'off',
      synchronous_commit: 'off',
      max_connections: 400,
      shared_buffers: '64MB',
    },
  });
  globalThis.testPostgres = { server, folder };
  process.env.TEST_POSTGRES_URL = server.url;
}

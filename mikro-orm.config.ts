import { Migrator } from '@mikro-orm/migrations';
import { defineConfig } from '@mikro-orm/postgresql';
import { loadProcessConfig } from '#platform/config';
import { rooms } from './apps/server/src/rooms.ts';
import { migrations } from './migrations/index.ts';

/** For MikroORM's own command line. The server and `npm run migrate` do not need it. */
export default defineConfig({
  clientUrl: loadProcessConfig().databaseUrl ?? '',
  extensions: [Migrator],
  entities: rooms.flatMap((room) => [...(room.entities ?? [])]),
  migrations: { migrationsList: [...migrations], tableName: 'migrations', snapshot: false },
});

import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProjectView } from '@muster/contracts';
import { Global, Module } from '@nestjs/common';
import { CommandBus, CqrsModule, type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { Test, type TestingModule } from '@nestjs/testing';
import { Authenticator } from '#messages/auth';
import { FindLandingUnderWay } from '#messages/integration';
import { FindProjectOperations } from '#messages/runtime';
import { ConfigModule, loadConfig } from '#platform/config';
import { DatabaseModule } from '#platform/database';
import { GitModule, Packing, Repositories } from '#platform/git';
import { HttpModule } from '#platform/http';
import { testDatabase, type TestDatabase } from '#test/database';
import { ada, Nobody } from '#test/nobody';
import { CreateProject } from './commands/create-project.ts';
import { DeleteProject } from './commands/delete-project.ts';
import { MOST_LOOSE_REFS } from './domain/upkeep-rules.ts';
import { projectsEntities, ProjectsModule } from './index.ts';
import { RepositoryUpkeep } from './repository-upkeep.ts';

const actor = ada();
const landing = new Set<string>();
@QueryHandler(FindLandingUnderWay)
class Landings implements IQueryHandler<FindLandingUnderWay> {
  execute({ projectId }: FindLandingUnderWay): Promise<boolean> {
    return Promise.resolve(landing.has(projectId));
  }
}
@QueryHandler(FindProjectOperations)
class Operations implements IQueryHandler<FindProjectOperations> {
  execute() {
    return Promise.resolve({ operations: [], openTasks: [] });
  }
}
@Global()
@Module({
  imports: [CqrsModule],
  providers: [{ provide: Authenticator, useClass: Nobody }, Landings, Operations],
  exports: [Authenticator],
})
class OtherRooms {}

let folder: string;
let database: TestDatabase;
/** Two servers on one database and one folder. */
let servers: TestingModule[];
let commands: CommandBus;
const upkeep = (server: number) => servers[server]!.get(RepositoryUpkeep);
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'muster-upkeep-')));
  database = await testDatabase();
  servers = [];
  for (const name of ['one', 'two']) {
    const module = await Test.createTestingModule({
      imports: [
        ConfigModule.forRoot(loadConfig({ MUSTER_DATA_DIR: join(folder, name), MUSTER_SHARED_DIR: join(folder, 'shared'), MUSTER_ROLE: 'api' })),
        DatabaseModule.forRoot({ url: database.url, entities: projectsEntities, migrations: [], poolSize: 5 }),
        CqrsModule.forRoot(), HttpModule, GitModule, OtherRooms, ProjectsModule,
      ], // prettier-ignore
    }).compile();
    module.useLogger(false);
    await module.init();
    servers.push(module);
  }
  commands = servers[0]!.get(CommandBus);
});
afterAll(async () => {
  for (const server of servers) await server.close();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  landing.clear();
  // What earlier trials made is not due in later ones.
  await database.sql(
    `update repository_upkeep set next_action_at = muster_now() + interval '1 day', taken_until = null`,
  );
});

let number = 0;
/** @param gathered refs of its own, made without waiting for the disk */
async function project(gathered = MOST_LOOSE_REFS + 10): Promise<ProjectView> {
  const made = await commands.execute(new CreateProject(actor, { name: `Project ${number++}` }));
  const names = Array.from({ length: gathered }, (_, at) => `create refs/muster/submissions/sub_${at} ${made.head ?? ''}\n`); // prettier-ignore
  const { status } = spawnSync('git', ['-c', 'core.fsync=none', '-c', 'safe.directory=*', 'update-ref', '--stdin'], {
    cwd: servers[0]!.get(Repositories, { strict: false }).path(made.id),
    input: names.join(''),
  });
  expect(status).toBe(0);
  return made;
}
const due = (id: string) =>
  database.sql(`update repository_upkeep set next_action_at = muster_now() where project_id = $1`, [id]);
const rowOf = async (id: string) => {
  const [row] = await database.sql<{ dueIn: number; looseObjects: number }>(
    `select extract(epoch from next_action_at - muster_now())::int as "dueIn", taken_until is not null as taken, packed_at is not null as packed,
       loose_objects as "looseObjects", packs, problem from repository_upkeep where project_id = $1`,
    [id],
  );
  return row;
};
const told = async (id: string) =>
  (
    await database.sql<{ type: string; data: Record<string, unknown> }>(
      `select type, data from events where project_id = $1 and type like 'project.repository%' order by position`,
      [id],
    )
  ).map(({ type, data }) => ({ type, ...data }));

it('packs a repository once it has gathered much, tells of it, and looks again after its time', async () => {
  const [much, little] = [await project(), await project(10)];
  await due(much.id);
  await due(little.id);
  await upkeep(0).round();
  expect(await rowOf(much.id)).toMatchObject({ packed: true, taken: false, looseObjects: 0, packs: 1, problem: null });
  expect(await rowOf(little.id)).toMatchObject({ packed: false, taken: false, packs: 0 });
  expect((await rowOf(little.id))?.looseObjects).toBeGreaterThan(0);
  for (const { id } of [much, little]) expect((await rowOf(id))?.dueIn).toBeGreaterThan(3_000);
  expect(await told(much.id)).toEqual([
    {
      type: 'project.repository_packed',
      projectId: much.id,
      seconds: expect.any(Number),
      before: expect.objectContaining({ packs: 0 }),
      after: expect.objectContaining({ looseObjects: 0, packs: 1, looseRefs: 0 }),
    },
  ]);
  expect(await told(little.id)).toEqual([]);
});

it('is at one repository at a time, on one server, and takes up what a killed one left', async () => {
  const [first, second] = [await project(0), await project(0)];
  await due(first.id);
  await due(second.id);
  // Another server has the first one, and is at it.
  await database.sql(
    `update repository_upkeep set taken_until = muster_now() + interval '1 hour', next_action_at = muster_now() + interval '1 hour' where project_id = $1`,
    [first.id],
  );
  await Promise.all([upkeep(0).round(), upkeep(1).round()]);
  expect(await rowOf(second.id)).toMatchObject({ taken: false, dueIn: 0 });
  // It was killed.
  await database.sql(
    `update repository_upkeep set taken_until = muster_now() - interval '1 second', next_action_at = muster_now() - interval '1 second' where project_id = $1`,
    [first.id],
  );
  await Promise.all([upkeep(0).round(), upkeep(1).round()]);
  for (const { id } of [first, second]) {
    expect(await rowOf(id)).toMatchObject({ taken: false });
    expect((await rowOf(id))?.dueIn).toBeGreaterThan(3_000);
  }
});

it('leaves a repository alone while something is landing in it', async () => {
  const one = await project();
  await due(one.id);
  landing.add(one.id);
  await upkeep(0).round();
  expect(await rowOf(one.id)).toMatchObject({ packed: false, taken: false, packs: 0 });
  expect((await rowOf(one.id))?.dueIn).toBeLessThan(100);
  landing.clear();
  await due(one.id);
  await upkeep(0).round();
  expect(await rowOf(one.id)).toMatchObject({ packed: true, packs: 1 });
});

it('tells once when it fails, and goes on when the cause is gone', async () => {
  const one = await project();
  const lock = join(servers[0]!.get(Repositories, { strict: false }).path(one.id), 'packed-refs.lock');
  await mkdir(join(lock, '..'), { recursive: true });
  await writeFile(lock, '');
  for (let times = 0; times < 2; times += 1) {
    await due(one.id);
    await upkeep(0).round();
  }
  expect(await rowOf(one.id)).toMatchObject({ packed: false, taken: false, problem: expect.stringContaining('packed-refs.lock') }); // prettier-ignore
  expect(await told(one.id)).toEqual([
    expect.objectContaining({ type: 'project.repository_upkeep_failing', problem: expect.stringContaining('packed-refs.lock') }),
  ]); // prettier-ignore
  await rm(lock);
  await due(one.id);
  await upkeep(0).round();
  expect(await rowOf(one.id)).toMatchObject({ packed: true, problem: null });
});

it('stops when the project is deleted meanwhile, and leaves nothing of it', async () => {
  const one = await project();
  await due(one.id);
  const packing = servers[0]!.get(Packing, { strict: false });
  const round = upkeep(0).round();
  await commands.execute(new DeleteProject(one.id, actor.id));
  await round;
  expect(await rowOf(one.id)).toBeUndefined();
  expect(await packing.look(one.id)).toEqual({ looseObjects: 0, packs: 0, looseRefs: 0, bytes: 0 });
  expect(await told(one.id)).toEqual([]);
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  agentDefinition,
  type Overlap,
  permissions,
  type AgentDefinition,
  type CreateTask,
  type Permission,
  type Problem,
  type TaskAssignment,
  type TaskDetail,
  type TaskView,
} from '@muster/contracts';
import { Global, Module, type Type } from '@nestjs/common';
import { CqrsModule, type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import semver from 'semver';
import { Clock, Ids, SystemClock, SystemIds } from '#kernel';
import { type Actor, Authenticator } from '#messages/auth';
import { FindOverlaps, FindTaskChanges } from '#messages/integration';
import { FindAssignedAgents, FindProject, FindProjectTeam } from '#messages/projects';
import { FindVerdicts } from '#messages/quality';
import { FindPublishedVersion } from '#messages/registry';
import { BlobsModule } from '#platform/blobs';
import { Config, loadConfig } from '#platform/config';
import { Database } from '#platform/database';
import { EventLogModule } from '#platform/eventlog';
import { Invariants } from '#platform/invariants';
import { httpAdapter, HttpModule, OwnedIds, SocketAdapter } from '#platform/http';
import { testDatabase, type TestDatabase } from './database.ts';

export interface Answer<T> {
  readonly status: number;
  readonly body: T & Problem;
}
export interface Worker {
  readonly actor: Actor;
  readonly instanceId: string;
}

const newRowOf = (ids: Ids, requestedBy: string, lane: number, idempotencyKey: string | null) => ({
  id: ids.next('task'),
  attemptId: ids.next('attempt'),
  lane,
  title: null,
  input: '{"file":"a.ts"}',
  maxAttempts: 5,
  notBefore: null,
  parentId: null,
  depth: 0,
  reopens: null,
  requestedBy,
  idempotencyKey,
  keep: null,
  traceparent: null,
});
async function placesAt(test: TestDatabase, { instanceId }: Worker, lane: number, places: readonly number[]) {
  const [instance] = await test.sql<{ connection: string }>(`select connection from instances where id = $1`, [
    instanceId,
  ]);
  const [limits] = await test.sql<{ version: string }>(`select version from dispatch_limit_version`);
  return {
    lanes: [{ id: lane, after: 0 }],
    instances: [{ id: instanceId, connection: instance?.connection ?? '' }],
    places,
    leaseSeconds: 30,
    silentAfterSeconds: 30,
    limitVersion: Number(limits?.version),
  };
}

/**
 * The runtime room as a server with its routes, on a database of its own. Who is there, what is assigned and which versions are
 * published is what a test says; nothing is swept unless it asks for that.
 */
export interface RuntimeRoom {
  readonly app: NestFastifyApplication;
  readonly test: TestDatabase;
  readonly team: string;
  readonly project: string;
  /** May everything but what is the system's. */
  readonly person: Actor;
  readonly definitions: Map<string, AgentDefinition>;
  assigned: { agent: string; versionRange: string }[];
  /** What the integration room answers. */
  overlapping: (query: FindOverlaps) => Promise<Overlap[]>;
  actor(more?: Partial<Actor>): Actor;
  /** Another project of the team. */
  addProject(): Promise<string>;
  call<T = Record<string, unknown>>(
    actor: Actor,
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer<T>>;
  /** Through the route; throws what it was refused with. */
  create(more?: Partial<CreateTask>): Promise<TaskView>;
  show(taskId: string): Promise<TaskDetail>;
  connect(
    hello?: Partial<{
      agent: string;
      version: string;
      capabilities: string[];
      capacity: number;
      labels: Record<string, string>;
      actor: Actor;
    }>,
  ): Promise<Worker>;
  claim(worker: Worker, count?: number): Promise<TaskAssignment[]>;
  verb(worker: Worker, task: { taskId: string; fence: number }, name: string, body?: unknown): Promise<Answer<object>>;
  /** A task as the statement that makes it is given it. */
  newRow(lane: number, idempotencyKey?: string | null): ReturnType<typeof newRowOf>;
  /** Places with this worker, as the statement is given them: for each task one (0), or none (-1). */
  startsAt(worker: Worker, lane: number, places: readonly number[]): ReturnType<typeof placesAt>;
  eventsOf(subject: string): Promise<string[]>;
  /** What is broken of what must always be so. */
  broken(): Promise<object[]>;
  close(): Promise<void>;
}

/** @param runtime the room's module; given, because only its own tests may know it */
export async function runtimeRoom(runtime: Type, environment: Record<string, string> = {}): Promise<RuntimeRoom> {
  const ids = new SystemIds();
  const team = ids.next('team');
  const project = ids.next('project');
  const actors = new Map<string, Actor>();
  const actor = (more: Partial<Actor> = {}): Actor => {
    const one: Actor = {
      kind: 'key',
      id: ids.next('apiKey'),
      name: 'key',
      teamId: team,
      permissions: new Set(permissions.filter((permission) => permission !== 'system.verify')),
      projects: new Map(),
      onlyProjectId: null,
      ...more,
    };
    actors.set(one.id, one);
    return one;
  };
  class ById extends Authenticator {
    async authenticate(credential: string): Promise<Actor | null> {
      return actors.get(credential) ?? null;
    }
    allows(one: Actor, permission: Permission): boolean {
      return one.permissions.has(permission);
    }
    onRevoked(): () => void {
      return () => undefined;
    }
    issueSystemKey(): Promise<string> {
      return Promise.reject(new Error('no keys here'));
    }
  }
  const data = await mkdtemp(join(tmpdir(), 'muster-room-'));
  const test = await testDatabase();
  const database = await test.open();
  await test.sql(`create table projects_here (id text primary key, team_id text)`);
  OwnedIds.register('project', 'projects_here', { project: 'id' });
  const addProject = async (id = ids.next('project')): Promise<string> => {
    await test.sql(`insert into projects_here values ($1, $2)`, [id, team]);
    return id;
  };
  await addProject(project);

  const room: Pick<RuntimeRoom, 'assigned' | 'overlapping'> = {
    assigned: [{ agent: 'coder', versionRange: '*' }],
    overlapping: () => Promise.resolve([]),
  };
  const definitions = new Map<string, AgentDefinition>();
  const define = (name: string, version: string): void => {
    definitions.set(
      name,
      agentDefinition.parse({
        metadata: { name, version },
        skills: [
          {
            name: 'code.change',
            input: { type: 'object', properties: { file: { type: 'string' } }, required: ['file'] },
          },
          { name: 'code.review' },
        ],
        limits: { concurrency: 100 },
      }),
    );
  };
  define('coder', '1.2.0');
  @QueryHandler(FindProject)
  class Projects implements IQueryHandler<FindProject> {
    async execute({ projectId }: FindProject) {
      const known = await test.sql(`select id from projects_here where id = $1`, [projectId]);
      if (known.length === 0) return null;
      return {
        id: projectId,
        teamId: team,
        name: 'P',
        slug: 'p',
        branch: 'main',
        head: 'a'.repeat(40),
        gitPath: `/git/${projectId}.git`,
        createdAt: new Date(0).toISOString(),
        importedHead: null,
      };
    }
  }
  @QueryHandler(FindProjectTeam)
  class ProjectTeams implements IQueryHandler<FindProjectTeam> {
    async execute({ projectId }: FindProjectTeam) {
      const known = await test.sql(`select id from projects_here where id = $1`, [projectId]);
      return known.length === 0 ? null : team;
    }
  }
  @QueryHandler(FindAssignedAgents)
  class Assigned implements IQueryHandler<FindAssignedAgents> {
    async execute({ capability }: FindAssignedAgents) {
      return capability.startsWith('code.') ? room.assigned : [];
    }
  }
  @QueryHandler(FindPublishedVersion)
  class Published implements IQueryHandler<FindPublishedVersion> {
    async execute({ agent, range }: FindPublishedVersion) {
      const found = definitions.get(agent);
      if (found === undefined || !semver.satisfies(found.metadata.version, range)) return null;
      return {
        agentId: 'agent',
        agentVersionId: 'agv',
        name: agent,
        version: found.metadata.version,
        definition: found,
      };
    }
  }
  @QueryHandler(FindTaskChanges)
  class Changes implements IQueryHandler<FindTaskChanges> {
    async execute() {
      return [];
    }
  }
  @QueryHandler(FindOverlaps)
  class Overlapping implements IQueryHandler<FindOverlaps> {
    execute(query: FindOverlaps) {
      return room.overlapping(query);
    }
  }
  @QueryHandler(FindVerdicts)
  class Verdicts implements IQueryHandler<FindVerdicts> {
    async execute() {
      return [];
    }
  }
  const config = loadConfig({ MUSTER_ROLE: 'api', MUSTER_DATA_DIR: data, ...environment });
  @Global()
  @Module({
    providers: [
      { provide: Database, useValue: database },
      // Role api: sweeps run when a test says so.
      { provide: Config, useValue: config },
      { provide: Ids, useValue: ids },
      { provide: Clock, useClass: SystemClock },
      { provide: Authenticator, useClass: ById },
    ],
    exports: [Database, Config, Ids, Clock, Authenticator],
  })
  class Ground {}
  const testing = await Test.createTestingModule({
    imports: [Ground, CqrsModule.forRoot(), HttpModule, EventLogModule, BlobsModule, runtime],
    providers: [Projects, ProjectTeams, Assigned, Published, Changes, Overlapping, Verdicts],
  }).compile();
  const app = testing.createNestApplication<NestFastifyApplication>(httpAdapter(config));
  app.useWebSocketAdapter(app.get(SocketAdapter));
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  const person = actor({ kind: 'user', id: ids.next('user') });

  const call: RuntimeRoom['call'] = async <T>(
    by: Actor,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ) => {
    const response = await fetch(`${url}/api${path}`, {
      method,
      headers: {
        authorization: `Bearer ${by.id}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as T & Problem };
  };
  const must = <T>({ status, body }: Answer<T>): T => {
    if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`);
    return body;
  };
  return Object.assign(room, {
    app,
    test,
    team,
    project,
    person,
    definitions,
    actor,
    addProject,
    call,
    create: async (more: Partial<CreateTask> = {}) =>
      must(
        await call<TaskView>(person, 'POST', '/tasks', {
          projectId: project,
          capability: 'code.change',
          input: { file: 'a.ts' },
          ...more,
        }),
      ),
    show: async (taskId: string) => must(await call<TaskDetail>(person, 'GET', `/tasks/${taskId}`)),
    connect: async ({ actor: by = actor(), ...hello }: Parameters<RuntimeRoom['connect']>[0] = {}) => {
      const { instanceId } = must(
        await call<{ instanceId: string }>(by, 'POST', '/runtime/instances', {
          agent: 'coder',
          version: '*',
          capabilities: ['code.change', 'code.review'],
          capacity: 10,
          labels: {},
          ...hello,
        }),
      );
      return { actor: by, instanceId };
    },
    claim: async ({ actor: by, instanceId }: Worker, count = 10) =>
      must(
        await call<{ tasks: TaskAssignment[] }>(by, 'POST', `/runtime/instances/${instanceId}/claim`, {
          count,
          waitSeconds: 0,
        }),
      ).tasks,
    verb: (worker: Worker, task: { taskId: string; fence: number }, name: string, body: unknown = {}) =>
      call<object>(worker.actor, 'POST', `/tasks/${task.taskId}/attempts/${task.fence}/${name}`, body),
    newRow: (lane: number, idempotencyKey: string | null = null) => newRowOf(ids, person.id, lane, idempotencyKey),
    startsAt: (worker: Worker, lane: number, places: readonly number[]) => placesAt(test, worker, lane, places),
    eventsOf: async (subject: string) =>
      (await test.sql<{ type: string }>(`select type from events where subject = $1 order by position`, [subject])).map(
        ({ type }) => type,
      ),
    broken: async () => (await new Invariants(database).check(team)).invariants.filter(({ ok }) => !ok),
    close: async () => {
      await app.close();
      await test.drop();
      await rm(data, { recursive: true, force: true });
    },
  });
}

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type AuditReport,
  type LandingView,
  type Permission,
  permissions,
  type SubmissionView,
} from '@muster/contracts';
import { Global, Module } from '@nestjs/common';
import { SystemIds } from '#kernel';
import { type Actor, Authenticator } from '#messages/auth';
import type { ProjectRecord } from '#messages/projects';
import { Repositories } from '#platform/git';
import { startApp, type TestServer } from '#test/app';
import { LEASES, Neighbours, NeighboursModule, newProject } from '../test/world.ts';
import { IntegrationModule } from './index.ts';

const ids = new SystemIds();
const actors = new Map<string, Actor>();
class ById extends Authenticator {
  authenticate(credential: string): Promise<Actor | null> {
    return Promise.resolve(actors.get(credential) ?? null);
  }
  allows(actor: Actor, permission: Permission): boolean {
    return actor.permissions.has(permission);
  }
  onRevoked(): () => void {
    return () => undefined;
  }
  issueSystemKey(): Promise<string> {
    return Promise.reject(new Error('no keys here'));
  }
}
@Global()
@Module({ providers: [{ provide: Authenticator, useClass: ById }], exports: [Authenticator] })
class WhoIsWho {}

let server: TestServer;
let neighbours: Neighbours;
let project: ProjectRecord;
let token: string;
let stranger: string;

const actorOf = (teamId: string): string => {
  const id = ids.next('user');
  actors.set(id, {
    kind: 'user',
    id,
    name: 'Ada',
    teamId,
    permissions: new Set(permissions),
    projects: new Map(),
    onlyProjectId: null,
  });
  return id;
};

beforeAll(async () => {
  server = await startApp({
    modules: [{ module: WhoIsWho }, { module: NeighboursModule }, { module: IntegrationModule }],
  });
  await server.database.sql(LEASES);
  neighbours = server.app.get(Neighbours);
  project = await newProject(server.app.get(Repositories), neighbours);
  token = actorOf(project.teamId);
  neighbours.holder = token;
  stranger = actorOf(ids.next('team'));
});
afterAll(async () => {
  await server.close();
});

async function held(): Promise<{ taskId: string; fence: number }> {
  const task = neighbours.newTask(project);
  const fence = neighbours.tasks.size;
  await server.database.sql(`insert into leases (task_id, fence) values ($1, $2)`, [task.id, fence]);
  return { taskId: task.id, fence };
}
async function until<T>(look: () => Promise<T>, good: (found: T) => boolean): Promise<T> {
  for (let tries = 0; tries < 200; tries += 1) {
    const found = await look();
    if (good(found)) return found;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`it did not come: ${JSON.stringify(await look())}`);
}
const get = async <T>(path: string, as = token): Promise<T> =>
  (await server.request('GET', path, undefined, { token: as })).body;
const post = (path: string, body: unknown, as = token) => server.request('POST', path, body, { token: as });

describe('over HTTP, with events and the sweep at work', () => {
  it('a submission becomes a landing by itself once it is accepted, and can be rolled back', async () => {
    const body = {
      ...(await held()),
      base: project.head,
      message: 'Better',
      files: [{ path: 'greet.js', content: 'better\n' }],
    };
    const created = await post('/api/submissions', body);
    expect(created.status).toBe(201);
    const submission = created.body as SubmissionView;
    expect(((await post('/api/submissions', body)).body as SubmissionView).id).toBe(submission.id);

    const finish = async (id: string): Promise<SubmissionView> => {
      const look = () => get<SubmissionView>(`/api/submissions/${id}`);
      const { verificationId } = await until(look, ({ state }) => state === 'verifying');
      const open = neighbours.verifications.get(verificationId ?? '');
      if (open === undefined) throw new Error('no verification');
      neighbours.verifications.set(open.id, {
        ...open,
        state: 'finished',
        verdict: 'accepted',
        score: 97,
        finishedAt: new Date().toISOString(),
      });
      await server.database.transaction((tx) => {
        tx.append({
          type: 'verification.finished',
          teamId: project.teamId,
          projectId: project.id,
          subject: open.id,
          data: {},
        });
        return Promise.resolve();
      });
      return await until(look, ({ state }) => state === 'landed');
    };
    const landed = await finish(submission.id);
    const landing = await get<LandingView>(`/api/landings/${landed.landingId}`);
    expect(landing).toMatchObject({ state: 'landed', submissionId: submission.id });
    expect(landing.landedTree).toBe(landing.verifiedTree);
    expect(await get<AuditReport>(`/api/projects/${project.id}/audit`)).toMatchObject({ ok: true, checked: 2 });

    const revert = await post(`/api/landings/${landing.id}/rollback`, { reason: 'It was worse.' });
    expect(revert.status).toBe(201);
    await finish((revert.body as SubmissionView).id);
    const after = await until(
      () => get<LandingView>(`/api/landings/${landing.id}`),
      ({ followUpTaskId }) => followUpTaskId !== null,
    );
    expect(after.state).toBe('rolled_back');
    expect(await get<AuditReport>(`/api/projects/${project.id}/audit`)).toMatchObject({ ok: true, checked: 3 });

    const first = await get<{ items: LandingView[]; nextCursor: string }>(
      `/api/landings?projectId=${project.id}&limit=1`,
    );
    expect(first.items.map(({ id }) => id)).toEqual([after.rolledBackBy]);
    const second = await get<{ items: LandingView[]; nextCursor: null }>(
      `/api/landings?limit=1&cursor=${first.nextCursor}`,
    );
    expect(second.items.map(({ id }) => id)).toEqual([landing.id]);
    expect(
      (await get<{ items: SubmissionView[] }>(`/api/submissions?taskId=${body.taskId}&state=landed`)).items,
    ).toHaveLength(1);
  });

  it('answers bad input with what to do, and strangers with nothing', async () => {
    const good = { ...(await held()), base: project.head, message: 'x', files: [{ path: 'a', content: 'a\n' }] };
    const refused = async (body: object, as = token) => {
      const { status, body: problem } = await post('/api/submissions', body, as);
      return [status, (problem as { code: string }).code];
    };
    expect(await refused({ ...good, base: 'f'.repeat(40) })).toEqual([422, 'integration.unknown_base']);
    expect(await refused({ ...good, fence: 999_999 })).toEqual([409, 'runtime.stale_lease']);
    expect(await refused({ ...good, patch: 'both' })).toEqual([400, 'request.invalid']);
    expect(await refused({ ...good, surprise: true })).toEqual([400, 'request.invalid']);
    expect(await refused({ ...good, files: [{ path: '../a', content: '' }] })).toEqual([400, 'request.invalid']);
    expect(await refused({ ...good, files: undefined, patch: 'nonsense\0' })).toEqual([
      422,
      'repository.patch_does_not_apply',
    ]);
    expect(await refused(good, stranger)).toEqual([404, 'integration.task_not_found']);
    expect(
      (await server.request('GET', `/api/submissions/${ids.next('submission')}`, undefined, { token })).status,
    ).toBe(404);
    expect((await server.request('GET', '/api/landings?state=nonsense', undefined, { token })).status).toBe(400);
    expect((await server.request('GET', '/api/landings?cursor=nonsense', undefined, { token })).status).toBe(400);
    const mine = await get<{ items: SubmissionView[] }>('/api/submissions');
    expect(
      (await server.request('GET', `/api/submissions/${mine.items[0]?.id}`, undefined, { token: stranger })).status,
    ).toBe(404);
    expect((await get<{ items: unknown[] }>('/api/submissions', stranger)).items).toEqual([]);
    expect((await server.request('GET', '/api/submissions', undefined, { token: null })).status).toBe(401);
  });

  it('shows the public keys to anybody', async () => {
    const { status, body } = await server.request('GET', '/api/provenance/keys', undefined, { token: null });
    expect(status).toBe(200);
    expect(body).toMatchObject({ keys: [{ algorithm: 'ed25519', pem: expect.stringContaining('PUBLIC KEY') }] });
  });

  it('are changed for one another as often as somebody asks, also at once, and one of them signs', async () => {
    const rotations = [1, 2, 3, 4].map(() => server.request('POST', '/api/provenance/keys', undefined, { token }));
    const made = (await Promise.all(rotations)).map(({ status, body }) => [status, body['keyId']]);
    expect(made.map(([status]) => status)).toEqual([201, 201, 201, 201]);
    expect(new Set(made.map(([, keyId]) => keyId)).size).toBe(4);
    const { body } = await server.request('GET', '/api/provenance/keys', undefined, { token: null });
    const keys = body['keys'] as { keyId: string; retiredAt: string | null }[];
    expect(keys.filter(({ retiredAt }) => retiredAt === null)).toHaveLength(1);
  });
});

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { permissions } from '@muster/contracts';
import type { OpenAPIObject } from '@nestjs/swagger';
import { readFile } from 'node:fs/promises';
import { assertEveryRouteDeclares } from '#platform/http';
import { startApp, type TestServer } from '#test/app';
import { apiDocument } from '../../apps/server/src/api-document.ts';

describe('the server', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startApp();
  });
  afterAll(() => server?.close());

  test('declares who may call each route and socket', () => {
    const declared = assertEveryRouteDeclares(server.app);
    for (const { permission } of declared) if (permission !== null) expect(permissions).toContain(permission);
    expect(
      declared
        .filter(({ permission }) => permission === null)
        .map(({ route }) => route)
        .sort(),
    ).toMatchInlineSnapshot(`
     [
       "GET AuthController.me",
       "GET HealthController.live",
       "GET HealthController.measured",
       "GET HealthController.ready",
       "GET HealthController.started",
       "GET ProvenanceController.keys",
       "POST AuthController.logIn",
       "POST AuthController.logOut",
       "POST AuthController.refresh",
       "POST WebhooksController.receive",
     ]
    `);
    const sockets = declared.flatMap(({ route }) => (route.startsWith('SOCKET ') ? [route.slice(7)] : []));
    expect(sockets.sort()).toEqual(['/api/runtime/connect', '/api/stream', '/api/verifications/logs']);
  });

  test('answers a stranger with 401 on everything that is not public', async () => {
    const document = apiDocument(server.app);
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const method of Object.keys(methods)) {
        const url = path.replaceAll(/\{\w+\}/g, 'x');
        const { status } = await server.request(
          method.toUpperCase(),
          url,
          ['get', 'delete'].includes(method) ? undefined : {},
          { token: null },
        );
        const open = ['/api/auth/login', '/api/auth/refresh', '/api/auth/logout', '/api/provenance/keys'].includes(
          path,
        );
        expect({ path, method, status: open ? 401 : status }).toEqual({ path, method, status: 401 });
      }
    }
  });

  test('is described by docs/openapi.json; write it again with: npm run openapi', async () => {
    const kept = JSON.parse(
      await readFile(new URL('../../docs/openapi.json', import.meta.url), 'utf8'),
    ) as OpenAPIObject;
    expect(JSON.parse(JSON.stringify(apiDocument(server.app)))).toEqual(kept);
  });
});

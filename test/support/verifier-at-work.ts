import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { detectSandbox } from '@muster/gate';
import { defineAgent, type JsonValue } from '@muster/sdk';
import { Authenticator } from '#messages/auth';
import { resolve } from '../../apps/agents/src/verifier/resolve.ts';
import { verify } from '../../apps/agents/src/verifier/verify.ts';
import type { TestServer } from './app.ts';

/** The server's own verifier, as its process does it: over sockets, in a sandbox that was proven. Ends with the answer. */
export async function startVerifier(
  server: TestServer,
  packages: { readonly npmCache?: string; readonly pythonWheels?: string } = {},
): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'muster-verifier-'));
  const sandbox = await detectSandbox('auto', [dir]);
  const token = await server.app.get(Authenticator).issueSystemKey('verifier');
  const settings = {
    url: server.url,
    token,
    dir,
    sandbox: 'auto',
    sandboxes: {},
    npmRegistry: null,
    npmCache: packages.npmCache ?? null,
    pythonWheels: packages.pythonWheels ?? null,
  } as const;
  const agent = defineAgent({
    name: 'muster-verifier',
    capacity: 2,
    capabilities: {
      'muster.verify': async (task, context) =>
        JSON.parse(JSON.stringify(await verify(task, context, settings, sandbox))) as JsonValue,
      'muster.resolve': async (task, context) => await resolve(task, context, settings, sandbox),
    },
  });
  const running = await agent.connect({ url: server.url, token, instanceName: 'verifier' });
  return async () => {
    await running.stop({ reason: 'the test is over', drainMs: 0 });
    await rm(dir, { recursive: true, force: true });
  };
}

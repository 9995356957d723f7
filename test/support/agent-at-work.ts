import { type Agent, type DefinitionInput, MusterClient } from '@muster/sdk';
import type { ApiKeyCreated } from '@muster/contracts';
import { startApp, type TestServer } from './app.ts';

export const newAgentKey = async (server: TestServer): Promise<string> =>
  ((await server.request('POST', '/api/keys', { name: 'an agent' })) as unknown as { body: ApiKeyCreated }).body.secret;

export interface AgentAtWork {
  readonly server: TestServer;
  readonly client: MusterClient;
  readonly project: string;
  stop(): Promise<void>;
}

/** A server with one project, and an agent connected that does all it can there. @param refine changes its definition before it is published */
export async function startWithAgent(
  agent: Agent,
  refine: (definition: DefinitionInput) => DefinitionInput = (same) => same,
): Promise<AgentAtWork> {
  const server = await startApp();
  try {
    const client = new MusterClient({ url: server.url, token: server.admin.token });
    const definition = refine(agent.definition('1.0.0'));
    await client.agents.register({ definition, publish: true });
    const project = (await client.projects.create({ name: 'Texts' })).id;
    await client.projects.assign(project, {
      agent: definition.metadata.name,
      capabilities: definition.skills.map(({ name }) => name),
    });
    const running = await agent.connect({ url: server.url, token: await newAgentKey(server) });
    const stop = async (): Promise<void> => {
      await running.stop();
      await server.close();
    };
    return { server, client, project, stop };
  } catch (error) {
    await server.close();
    throw error;
  }
}

// So many instances of one agent in this process, each with a socket of its own: `node idle-agents.ts <url> <token> <agent> <capability> <count>`.
import { defineAgent } from '@muster/sdk';

const [url, token, name, capability, count] = process.argv.slice(2);
if (!url || !token || !name || !capability || !count)
  throw new Error('url, token, agent, capability and count are needed');

process.on('disconnect', () => process.exit(0));
for (let number = 1; number <= Number(count); number += 1) {
  await defineAgent({ name, capabilities: { [capability]: () => null } }).connect({
    url,
    token,
    instanceName: `idle ${process.pid}-${number}`,
  });
  process.send?.('connected');
}

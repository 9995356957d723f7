// The smallest useful agent. MUSTER_URL and MUSTER_TOKEN say where Muster is and with which API key.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defineAgent, runAgent } from '@muster/sdk';

const agent = defineAgent({
  name: 'hello-agent',
  capabilities: {
    'code.change': async (task, ctx) => {
      const checkout = await ctx.workspace();
      await ctx.progress('writing', 0.5);
      await writeFile(join(checkout.path, 'HELLO.md'), `# ${task.title ?? 'Hello'}\n\nOn ${checkout.base}.\n`);
      await ctx.submit({ patch: await checkout.diff(), message: 'Say hello', claim: 'adds a greeting' });
    },
    'text.count': (task) => ({ characters: JSON.stringify(task.input).length }),
  },
});

await runAgent(agent);

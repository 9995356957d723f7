import { clone } from './clone.ts';
import { depth } from './depth.ts';
import { dispatch } from './dispatch.ts';
import { fairness } from './fairness.ts';
import { forecast } from './forecast.ts';
import { gate } from './gate.ts';
import { idle } from './idle.ts';
import { landing } from './landing.ts';
import { Cleanup } from './machinery/cleanup.ts';
import { benchDocument, type Measure } from './machinery/document.ts';
import { optionsFrom, usage, UsageError, type BenchName, type Options } from './machinery/options.ts';
import { say, Stage } from './machinery/stage.ts';
import { tableOf } from './machinery/table.ts';
import { lists } from './lists.ts';
import { memory } from './memory.ts';
import { queue } from './queue.ts';
import { roundtrip } from './roundtrip.ts';
import { strategiesOnHistory } from './strategies.ts';

const benches: Record<BenchName, (stage: Stage) => Promise<Measure[]>> = {
  dispatch,
  idle,
  depth,
  lists,
  memory,
  roundtrip,
  fairness,
  queue,
  forecast,
  landing,
  strategies: strategiesOnHistory,
  clone,
  gate,
};
/** Slots of the gate are verifier processes. Where it is no part of what is measured, there are none. */
const settings: Partial<Record<BenchName, Record<string, string>>> = {
  queue: { MUSTER_VERIFIERS: '4' },
  lists: { MUSTER_VERIFIERS: '0' },
  strategies: { MUSTER_VERIFIERS: '2' },
  forecast: { MUSTER_VERIFIERS: '0' },
  clone: { MUSTER_VERIFIERS: '0' },
};

async function run(options: Options, cleanup: Cleanup): Promise<void> {
  const stage = await Stage.set(options, cleanup, settings[options.bench]);
  try {
    const measures = await benches[options.bench](stage);
    const { machine, versions } = stage;
    const document = benchDocument.parse({ bench: options.bench, machine, versions, measures });
    process.stdout.write(options.json ? `${JSON.stringify(document, null, 2)}\n` : tableOf(document));
  } catch (error) {
    say(`The server's last words:\n${stage.server.lastWords()}`);
    throw error;
  }
}

const cleanup = new Cleanup();
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    if (interrupted) process.exit(130);
    interrupted = true;
    void cleanup.run().finally(() => process.exit(130));
  });

try {
  const options = optionsFrom(process.argv.slice(2));
  if (options === null) process.stdout.write(usage);
  else await run(options, cleanup);
} catch (error) {
  process.exitCode = error instanceof UsageError ? 64 : 1;
  if (!interrupted)
    process.stderr.write(
      `${error instanceof UsageError ? `${error.message}\n\n${usage}` : String(error instanceof Error ? error.stack : error)}\n`,
    );
} finally {
  await cleanup.run();
}

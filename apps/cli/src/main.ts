import { main } from './program.ts';

// Left to end by itself, so that what was printed reaches a pipe.
process.exitCode = await main(process.argv.slice(2));

import { existsSync } from 'node:fs';
import { constants, enableCompileCache, flushCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';

// Node keeps what it compiled, so that the second start is quick; that has to be said before anything else is loaded. It keeps
// it beside the programs: a folder that everybody may write to is no place for code.
const { status } = enableCompileCache(fileURLToPath(new URL('./.compile-cache', import.meta.url)));
const { ENABLED, ALREADY_ENABLED } = constants.compileCacheStatus;

// Also what is not called while it starts: what is kept of a module is what was compiled when it was loaded, and a server that comes back under load
// would compile all the rest of it beside that.
if (status === ENABLED || status === ALREADY_ENABLED) setFlagsFromString('--no-lazy');

// The build packs the server into one file, because opening thousands takes longer than what is in them.
const packed = new URL('../bundle/process.js', import.meta.url);
if (existsSync(packed)) await import(packed.href);
else await import('./process.ts');

// Now, and not at the end: a server that is killed starts again as quickly as one that was stopped.
flushCompileCache();

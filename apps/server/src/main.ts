import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// Node keeps what it compiled, so that the second start is quick; that has to be said before anything else is loaded. It keeps
// it beside the programs: a folder that everybody may write to is no place for code.
enableCompileCache(fileURLToPath(new URL('./.compile-cache', import.meta.url)));
await import('./process.ts');

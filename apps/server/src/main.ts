import { enableCompileCache } from 'node:module';

// Node keeps what it compiled, so that the second start is quick; that has to be said before anything else is loaded.
enableCompileCache();
await import('./process.ts');

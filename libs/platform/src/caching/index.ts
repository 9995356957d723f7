export { type Cache, type CacheOptions, Caches } from './caches.ts';
export { CachingModule } from './caching.module.ts';
export { KeptAnswers } from './kept-answers.ts';

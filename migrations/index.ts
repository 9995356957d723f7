import { Migration202611210001_platform } from './Migration202611210001_platform.ts';

/** Every migration, in the order in which they run. A new one goes to the end; one that was released never changes. */
export const migrations = [{ name: 'Migration202611210001_platform', class: Migration202611210001_platform }];

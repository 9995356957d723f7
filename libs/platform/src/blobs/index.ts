export { lockToDrop, lockToKeep } from './blob-locks.ts';
export { Blobs } from './blobs.ts';
export { BlobsModule } from './blobs.module.ts';

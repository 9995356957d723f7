export { Blobs } from './blobs.ts';
export { BlobsModule } from './blobs.module.ts';

import { Global, Module } from '@nestjs/common';
import { Blobs } from './blobs.ts';

@Global()
@Module({ providers: [Blobs], exports: [Blobs] })
export class BlobsModule {}

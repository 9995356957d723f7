import { Global, Module } from '@nestjs/common';
import { RedisModule } from '#platform/redis';
import { Caches } from './caches.ts';

@Global()
@Module({ imports: [RedisModule], providers: [Caches], exports: [Caches] })
export class CachingModule {}

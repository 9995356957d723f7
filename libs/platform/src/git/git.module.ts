import { Global, Module } from '@nestjs/common';
import { Changes } from './changes.ts';
import { Git } from './git.ts';
import { Packing } from './packing.ts';
import { Repositories } from './repositories.ts';

@Global()
@Module({ providers: [Git, Repositories, Changes, Packing], exports: [Git, Repositories, Changes, Packing] })
export class GitModule {}

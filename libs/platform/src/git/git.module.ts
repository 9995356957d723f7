import { Global, Module } from '@nestjs/common';
import { Changes } from './changes.ts';
import { Git } from './git.ts';
import { Repositories } from './repositories.ts';

@Global()
@Module({ providers: [Git, Repositories, Changes], exports: [Git, Repositories, Changes] })
export class GitModule {}

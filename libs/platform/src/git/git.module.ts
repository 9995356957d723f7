import { Global, Module } from '@nestjs/common';
import { Git } from './git.ts';
import { Repositories } from './repositories.ts';

@Global()
@Module({ providers: [Git, Repositories], exports: [Git, Repositories] })
export class GitModule {}

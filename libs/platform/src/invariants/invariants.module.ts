import { Global, Module } from '@nestjs/common';
import { Invariants } from './invariants.ts';

@Global()
@Module({ providers: [Invariants], exports: [Invariants] })
export class InvariantsModule {}

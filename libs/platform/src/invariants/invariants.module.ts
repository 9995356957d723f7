import { Global, Module } from '@nestjs/common';
import { Invariants } from './invariants.ts';
import { rowsKeepTheirRules } from './rows-keep-their-rules.ts';

@Global()
@Module({ providers: [Invariants], exports: [Invariants] })
export class InvariantsModule {
  constructor() {
    Invariants.register(rowsKeepTheirRules);
  }
}

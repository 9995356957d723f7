export { Invariants, type Invariant } from './invariants.ts';
export { InvariantsModule } from './invariants.module.ts';

export { Rounds, type Round } from './rounds.ts';
export { RoundsModule } from './rounds.module.ts';

export { EventLog } from './event-log.ts';
export { EventLogModule } from './eventlog.module.ts';
export { Reaction, type ReactionOptions, type Reacts } from './reaction.ts';

export { MusterError, type FieldError } from './errors.ts';
export { Ids, SystemIds } from './ids.ts';
export { Clock, SystemClock } from './clock.ts';
export { encodeCursor, decodeCursor, type Page } from './paging.ts';
export type { Tx, NewEvent } from './transaction.ts';

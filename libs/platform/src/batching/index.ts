export { Batcher, later, type BatcherOptions } from './batcher.ts';
export { Overloaded } from './batching.errors.ts';

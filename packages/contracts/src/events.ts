import { z } from 'zod';
import { idOf, jsonObject, timestamp } from './ids.ts';
import { priority } from './tasks.ts';

/**
 * A fact, as CloudEvents 1.0 in JSON. `type` is `room.thing_happened` (`landing.landed`); `subject` is the id of what it
 * happened to; `position` is its place in the gap-free order of the log, null only inside the transaction that writes it.
 */
export const cloudEvent = z
  .object({
    specversion: z.literal('1.0'),
    id: idOf('event'),
    type: z.string().max(100),
    source: z.string().max(300),
    subject: z.string().max(300).nullable(),
    time: timestamp,
    datacontenttype: z.literal('application/json'),
    data: jsonObject,
    /** Extension attributes of Muster. */
    position: z.number().int(),
    priority,
    teamid: idOf('team'),
    projectid: idOf('project').nullable(),
    traceparent: z.string().nullable(),
  })
  .meta({ id: 'Event' });
export type CloudEvent = z.infer<typeof cloudEvent>;

export const eventType = z
  .string()
  .max(100)
  .regex(/^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$/, 'must look like issue.opened');

/** What POST /api/events/publish takes; types of Muster's own rooms (`task.*`, `landing.*` …) are refused. */
export const publishEvent = z
  .strictObject({
    type: eventType,
    projectId: idOf('project').optional(),
    subject: z.string().max(300).optional(),
    priority: priority.default('normal'),
    data: jsonObject.default({}),
  })
  .meta({ id: 'PublishEvent' });

/**
 * `GET /api/stream` upgraded to WebSocket. The client sends one `subscribe`; the server answers with events in order, in
 * arrays, then live. `after` is the position of the last event seen; without it the stream starts now.
 */
export const streamSubscribe = z.strictObject({
  type: z.literal('subscribe'),
  projectId: idOf('project').optional(),
  /** Exact types or a prefix with `.*`; none means all. */
  types: z
    .array(
      z
        .string()
        .max(100)
        .regex(/^[a-z0-9_.]+(\.\*)?$/),
    )
    .max(50)
    .default([]),
  after: z.number().int().min(0).optional(),
});
export const streamMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('subscribed'), position: z.number().int() }),
  z.object({ type: z.literal('events'), events: z.array(cloudEvent) }),
  z.object({ type: z.literal('error'), problem: z.unknown() }),
]);
export type StreamMessage = z.infer<typeof streamMessage>;

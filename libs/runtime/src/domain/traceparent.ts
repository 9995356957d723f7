import { context, propagation } from '@opentelemetry/api';

/** The running trace as events carry it; null when there is none. */
export function currentTraceparent(): string | null {
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent ?? null;
}

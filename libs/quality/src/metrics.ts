import { metrics } from '@opentelemetry/api';

/** Counted where they finish; `evidence` tells a refusal for cause from a verification that did not come about. */
export function told(purpose: string, verdict: string, evidence: boolean, seconds: number): void {
  const meter = metrics.getMeter('muster');
  const labels = { purpose, verdict, evidence: String(evidence) };
  meter.createCounter('muster.verifications.finished', { description: 'Verifications that ended.' }).add(1, labels);
  meter
    .createHistogram('muster.verifications.duration', {
      unit: 's',
      description: 'From the request to the verdict.',
      advice: { explicitBucketBoundaries: [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800] },
    })
    .record(seconds, labels);
}

import type { Config } from '#platform/config';

/** Sends traces when OTEL_EXPORTER_OTLP_ENDPOINT says where to; costs nothing otherwise. Returns what flushes and ends it. */
export async function startTracing(config: Pick<Config, 'tracing'>): Promise<() => Promise<void>> {
  if (!config.tracing) return () => Promise.resolve();
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const sdk = new NodeSDK({ serviceName: 'muster' });
  sdk.start();
  return () => sdk.shutdown();
}

import type { INestApplication } from '@nestjs/common';
import type { Config } from '#platform/config';

/** What the operator reads after a start; on the first one with the password of the first administrator. */
export function welcome(_app: INestApplication, config: Config): string {
  const lines = [
    `Muster runs at ${config.publicUrl}`,
    `  API docs   ${config.publicUrl}/api/docs`,
    `  data       ${config.dataDir}`,
  ];
  return ['', ...lines, ''].join('\n');
}

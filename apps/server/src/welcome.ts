import type { INestApplication } from '@nestjs/common';
import { FirstAdmin } from '#auth';
import type { Config } from '#platform/config';

/** What the operator reads after a start; on the first one with the one-time password of the first administrator. */
export function welcome(app: INestApplication, config: Config): string {
  const notice = app.get(FirstAdmin).takeNotice();
  const lines = [
    `Muster runs at ${config.publicUrl}`,
    '',
    `  API docs   ${config.publicUrl}/api/docs`,
    `  data       ${config.dataDir}`,
  ];
  if (notice !== null) {
    lines.push(
      `  admin      ${notice.email}`,
      `  password   ${notice.password}`,
      '             shown once: log in with it and change it, or set MUSTER_ADMIN_PASSWORD before the first start',
    );
  }
  return ['', ...lines, ''].join('\n');
}

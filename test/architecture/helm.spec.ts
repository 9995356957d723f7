import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '#platform/config';
import { lintChart, renderChart } from '#test/chart';

interface Container {
  name: string;
  command: string[];
  env: { name: string; value?: string; valueFrom?: { secretKeyRef: { name: string; key: string } } }[];
  securityContext: Record<string, unknown>;
  startupProbe?: { httpGet: { path: string } };
  livenessProbe?: { httpGet: { path: string } };
  readinessProbe?: { httpGet: { path: string } };
}
interface Manifest {
  kind: string;
  metadata: { name: string; labels: Record<string, string>; annotations?: Record<string, string> };
  spec: {
    selector?: Record<string, unknown>;
    template?: {
      metadata: { labels: Record<string, string> };
      spec: { containers: Container[]; automountServiceAccountToken: boolean; enableServiceLinks: boolean };
    };
  };
}

const render = (...args: string[]): Manifest[] => renderChart<Manifest>(...args);
const only = (manifests: Manifest[], kind: string): Manifest => {
  const found = manifests.filter((manifest) => manifest.kind === kind);
  expect(found).toHaveLength(1);
  return found[0]!;
};
const container = (manifest: Manifest): Container => manifest.spec.template!.spec.containers[0]!;

describe('the Helm chart', () => {
  test('lints, and renders one server, its service, its volume and a migration that runs first', () => {
    lintChart();
    const manifests = render();
    expect(manifests.map((manifest) => manifest.kind).sort()).toEqual(
      ['Deployment', 'Job', 'PersistentVolumeClaim', 'Service', 'ServiceAccount'].sort(),
    );
    const job = only(manifests, 'Job');
    expect(job.metadata.annotations?.['helm.sh/hook']).toBe('pre-install,pre-upgrade');
    expect(container(job).command).toEqual(['node', 'dist/apps/server/src/migrate.js']);
  });

  test('sends traffic to the server and not to the migration', () => {
    const manifests = render();
    const selector = only(manifests, 'Service').spec.selector as Record<string, string>;
    const labels = (kind: string) => only(manifests, kind).spec.template!.metadata.labels;
    expect(labels('Deployment')).toMatchObject(selector);
    expect(labels('Job')).not.toMatchObject(selector);
  });

  test('probes the routes that the server answers', () => {
    const server = container(only(render(), 'Deployment'));
    expect(server.startupProbe?.httpGet.path).toBe('/startupz');
    expect(server.livenessProbe?.httpGet.path).toBe('/livez');
    expect(server.readinessProbe?.httpGet.path).toBe('/readyz');
  });

  test('sets only settings that the server accepts', () => {
    const manifests = render(
      '--set',
      'server.publicUrl=https://muster.example',
      '--set',
      'server.env.MUSTER_MIN_THRESHOLD=70',
    );
    for (const manifest of [only(manifests, 'Deployment'), only(manifests, 'Job')]) {
      const environment = Object.fromEntries(
        container(manifest).env.map((variable) => [
          variable.name,
          variable.value ?? (variable.name === 'DATABASE_URL' ? 'postgres://muster@db/muster' : 'from-a-secret'),
        ]),
      );
      expect(() => loadConfig(environment)).not.toThrow();
      // Otherwise a service called muster would add MUSTER_SERVICE_HOST and the like, which the server refuses.
      expect(manifest.spec.template!.spec.enableServiceLinks).toBe(false);
    }
  });

  test('takes secrets from secrets that exist, and refuses to render without their names', () => {
    const manifests = render();
    expect(manifests.some((manifest) => manifest.kind === 'Secret')).toBe(false);
    const secrets = container(only(manifests, 'Deployment')).env.filter((variable) => variable.valueFrom);
    expect(secrets.map((variable) => variable.name).sort()).toEqual(['DATABASE_URL', 'MUSTER_ADMIN_PASSWORD']);
    expect(() => render('--set', 'database.existingSecret=')).toThrow(/existingSecret names a secret/);
  });

  test('gives no pod a token, root, or a writable system', () => {
    const manifests = render();
    for (const manifest of [only(manifests, 'Deployment'), only(manifests, 'Job')]) {
      expect(manifest.spec.template!.spec.automountServiceAccountToken).toBe(false);
      expect(container(manifest).securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
  });
});

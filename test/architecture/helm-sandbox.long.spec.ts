import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { detectSandbox, kubernetesSettings, type KubernetesSettings } from '@muster/gate';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { RuntimeClass } from 'kubernetes-models/node.k8s.io/v1/RuntimeClass';
import { Role } from 'kubernetes-models/rbac.authorization.k8s.io/v1/Role';
import { RoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding';
import { PersistentVolumeClaim } from 'kubernetes-models/v1/PersistentVolumeClaim';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { loadConfig } from '#platform/config';
import { renderChart } from '#test/chart';
import { Cluster, type Rule, useSystemTools } from '#test/cluster';
import { missingPrograms, needing } from '#test/needing';

useSystemTools();

interface Manifest {
  kind: string;
  metadata: { name: string };
  apiVersion: string;
  spec?: unknown;
  rules?: Rule[];
  roleRef?: object;
  subjects?: object[];
}
interface PodTemplate {
  automountServiceAccountToken: boolean;
  containers: {
    env: { name: string; value?: string; valueFrom?: { fieldRef?: { fieldPath: string } } }[];
    volumeMounts: { name: string; mountPath: string }[];
  }[];
  volumes: { name: string; persistentVolumeClaim?: { claimName: string } }[];
}

const models = [Deployment, Job, NetworkPolicy, PersistentVolumeClaim, Role, RoleBinding, RuntimeClass, Service, ServiceAccount]; // prettier-ignore
const chosen = ['--namespace', 'runs', '--set', 'sandbox.driver=kubernetes'];
const render = (...more: string[]): Manifest[] => renderChart<Manifest>(...chosen, ...more);
const only = (manifests: Manifest[], kind: string, name?: string): Manifest => {
  const found = manifests.filter((each) => each.kind === kind && (name === undefined || each.metadata.name === name));
  expect(found).toHaveLength(1);
  return found[0]!;
};
const podOf = (manifests: Manifest[]): PodTemplate =>
  (only(manifests, 'Deployment').spec as { template: { spec: PodTemplate } }).template.spec;

/** As the kubelet hands it to the server, in a pod called muster-0 on the node node-a. */
function environmentOf({ containers: [server] }: PodTemplate): Record<string, string> {
  const own = new Map([
    ['spec.nodeName', 'node-a'],
    ['metadata.name', 'muster-0'],
    ['metadata.uid', 'uid-0'],
  ]);
  const environment: Record<string, string> = {};
  for (const { name, value, valueFrom } of server!.env) {
    const given = value ?? own.get(valueFrom?.fieldRef?.fieldPath ?? '') ?? 'postgres://muster@db/muster';
    environment[name] = given.replace(/\$\((\w+)\)/g, (whole, known: string) => environment[known] ?? whole);
  }
  return environment;
}
const settingsOf = (manifests: Manifest[]): KubernetesSettings =>
  kubernetesSettings.parse(JSON.parse(environmentOf(podOf(manifests))['MUSTER_SANDBOX_KUBERNETES'] ?? 'null'));

describe('the Helm chart, when runs are to be pods', () => {
  test('holds nothing of it unless it is chosen', () => {
    const manifests = renderChart<Manifest>();
    expect(manifests.map(({ kind }) => kind)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/Role|NetworkPolicy|RuntimeClass/)]),
    );
    const pod = podOf(manifests);
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(environmentOf(pod)).toMatchObject({ MUSTER_SANDBOX: 'auto' });
    expect(JSON.stringify(pod)).not.toContain('KUBERNETES');
  });

  test.each([
    ['as it comes', []],
    [
      'with a runtime class of its own',
      ['name=gvisor', 'create=true', 'handler=runsc'].flatMap((each) => ['--set', `sandbox.kubernetes.runtimeClass.${each}`]), // prettier-ignore
    ],
  ])('makes only objects that fit the schemas that Kubernetes publishes, %s', (_how, more) => {
    const manifests = render(...more);
    for (const manifest of manifests) {
      const Model = models.find(({ kind, apiVersion }) => kind === manifest.kind && apiVersion === manifest.apiVersion);
      if (Model === undefined) throw new Error(`nothing here knows ${manifest.kind}`);
      expect(() => new Model(manifest as never).validate()).not.toThrow();
    }
    // It can be refused.
    const broken = { ...only(manifests, 'NetworkPolicy'), spec: { podSelector: 'everything' } };
    expect(() => new NetworkPolicy(broken as never).validate()).toThrow(/podSelector/);
  });

  test('tells the server where runs are, and mounts there the one volume that runs see parts of', () => {
    const manifests = render();
    const pod = podOf(manifests);
    const settings = settingsOf(manifests);
    expect(settings).toMatchObject({
      image: 'muster:0.1.0',
      namespace: 'runs',
      nodeName: 'node-a',
      owner: { name: 'muster-0', uid: 'uid-0' },
    });
    expect(settings.runtimeClass).toBeUndefined();
    const environment = environmentOf(pod);
    expect(loadConfig(environment)).toMatchObject({ sandbox: 'kubernetes' });
    // Where the server has its verifiers work.
    expect(settings.root).toBe(join(environment['MUSTER_DATA_DIR'] ?? '', 'verifiers'));
    const mount = pod.containers[0]!.volumeMounts.find(({ mountPath }) => mountPath === settings.root);
    const volume = pod.volumes.find(({ name }) => name === mount?.name);
    expect(volume?.persistentVolumeClaim?.claimName).toBe(settings.claim);
    only(manifests, 'PersistentVolumeClaim', settings.claim);
    expect(pod.volumes.find(({ name }) => name === 'data')?.persistentVolumeClaim?.claimName).not.toBe(settings.claim);
  });

  test('gives the account of the server this role and nobody else, and a token to the server alone', () => {
    const manifests = render();
    const binding = only(manifests, 'RoleBinding');
    expect(binding.roleRef).toMatchObject({ kind: 'Role', name: only(manifests, 'Role').metadata.name });
    expect(binding.subjects).toEqual([
      { kind: 'ServiceAccount', name: only(manifests, 'ServiceAccount').metadata.name, namespace: 'runs' },
    ]);
    expect(podOf(manifests).automountServiceAccountToken).toBe(true);
    const job = only(manifests, 'Job').spec as { template: { spec: PodTemplate } };
    expect(job.template.spec.automountServiceAccountToken).toBe(false);
  });

  test('takes a claim and a runtime class that are there, and refuses half of one', () => {
    const set = (value: string): string[] => ['--set', `sandbox.kubernetes.${value}`];
    const manifests = render(...set('persistence.existingClaim=fast'), ...set('runtimeClass.name=kata'));
    expect(settingsOf(manifests)).toMatchObject({ claim: 'fast', runtimeClass: 'kata' });
    expect(manifests.filter(({ kind }) => kind === 'PersistentVolumeClaim')).toHaveLength(1);
    expect(manifests.some(({ kind }) => kind === 'RuntimeClass')).toBe(false);
    expect(() => render(...set('runtimeClass.name=gvisor'), ...set('runtimeClass.create=true'))).toThrow(/handler/);
    expect(() => renderChart('--set', 'sandbox.driver=kubernets')).toThrow(/sandbox.driver must be one of/);
  });
});

const withWalls = needing('the driver against what the chart allows', missingPrograms('bwrap'));

withWalls.describe('the driver of pods, with what the chart gives it', () => {
  let root: string;
  let cluster: Cluster;
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'muster-chart-'));
    chmodSync(root, 0o755);
    mkdirSync(join(root, 'volume'), { mode: 0o755 });
    writeFileSync(join(root, 'token'), 'cluster-token\n');
    cluster = await Cluster.start(join(root, 'volume'));
  });
  afterAll(async () => {
    await cluster?.stop();
    rmSync(root, { recursive: true, force: true });
  });

  test('is let do what it asks for, needs all that it is granted, and is kept from the network by the chart’s policy', async () => {
    const manifests = render();
    const rules = only(manifests, 'Role').rules ?? [];
    cluster.role = rules;
    cluster.policies = [only(manifests, 'NetworkPolicy')];
    const here = {
      url: cluster.url,
      tokenFile: join(root, 'token'),
      caFile: join(root, 'none'),
      root: join(root, 'volume'),
    };
    const kubernetes = { ...settingsOf(manifests), ...here, user: 60_050 };
    const sandbox = await detectSandbox('kubernetes', [], { kubernetes });
    expect(sandbox).toMatchObject({ proven: true, driver: { name: 'kubernetes' } });
    const granted = rules.flatMap(({ resources, verbs }) => resources.flatMap((what) => verbs.map((verb) => `${verb} ${what}`))); // prettier-ignore
    expect([...cluster.asked].sort()).toEqual(granted.sort());
    expect(cluster.created[0]?.spec['nodeName']).toBe('node-a');
    // Without the right to look at policies nothing is run.
    cluster.role = rules.filter(({ resources }) => !resources.includes('networkpolicies'));
    const less = await detectSandbox('kubernetes', [], { kubernetes });
    expect(less).toMatchObject({ driver: null, proven: false });
    expect(less.notes.join()).toContain('403');
  });
});

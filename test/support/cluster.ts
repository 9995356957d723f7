import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { json } from 'node:stream/consumers';
import { Pod as PodModel } from 'kubernetes-models/v1/Pod';
import { bwrapDriver } from '../../packages/gate/src/sandbox/bwrap.ts';
import { sandboxPaths, type SandboxRun } from '../../packages/gate/src/sandbox/driver.ts';

/**
 * Tools from where the system has them: the driver of pods copies them all to the volume, and what stands before on somebody's PATH may be
 * a Python of a gigabyte. To be called before the first sandbox of a file.
 */
export function useSystemTools(): void {
  process.env['PATH'] = [dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin'].join(
    ':',
  );
}

/** What a Role grants. */
export interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

/** As much of a pod as the kubelet needs here. */
export interface Pod {
  metadata: { name: string; labels: Record<string, string> };
  spec: {
    automountServiceAccountToken: boolean;
    restartPolicy: string;
    runtimeClassName?: string;
    securityContext: Record<string, unknown>;
    containers: {
      image: string;
      command: string[];
      args: string[];
      env: { name: string; value: string }[];
      securityContext: Record<string, unknown>;
      resources: { limits: Record<string, string> };
      volumeMounts: { name: string; mountPath: string; subPath?: string; readOnly?: boolean }[];
    }[];
    [more: string]: unknown;
  };
}
interface Running {
  pod: Pod;
  status: Record<string, unknown>;
  log: Buffer[];
  readers: Set<ServerResponse>;
  stop: AbortController;
}

const denyAll = {
  metadata: { name: 'deny-all' },
  spec: { podSelector: { matchLabels: { 'muster.dev/sandbox': 'run' } }, policyTypes: ['Ingress', 'Egress'] },
};

/** What the kubelet does to every word of a pod's command, arguments and environment. */
const expand = (text: string, known: ReadonlyMap<string, string>): string =>
  text.replace(/\$(?:\$|\(([^)]*)\))/g, (whole, name: string | undefined) =>
    name === undefined ? '$' : (known.get(name) ?? whole),
  );

/**
 * The API server of a cluster with one node, over real HTTP, with the answers that its documentation has. It takes only pods that fit
 * the schema that Kubernetes publishes. The node runs what a pod asks for in bubblewrap, with the pod's mounts and environment:
 * there is no cluster to try it on.
 */
export class Cluster {
  readonly running = new Map<string, Running>();
  readonly created: Pod[] = [];
  policies: unknown[] = [denyAll];
  /** What becomes of the next pods instead of being run. */
  instead: ((pod: Pod) => Record<string, unknown>) | null = null;
  /** Does this node keep pods from the network? */
  walled = true;
  refuses = false;
  /** Which requests are done and get no answer, each once. */
  readonly cut: RegExp[] = [];
  /** What the driver's account may do; null: everything. */
  role: readonly Rule[] | null = null;
  /** What it was asked to do, as `verb resource`. */
  readonly asked = new Set<string>();
  private readonly server: Server;
  private readonly root: string;

  private constructor(root: string) {
    this.root = root;
    this.server = createServer((request, response) => {
      const url = new URL(request.url ?? '/', 'http://cluster');
      const cut = this.cut.findIndex((line) => line.test(`${request.method} ${url.pathname}`));
      if (cut >= 0) this.cut.splice(cut, 1);
      const answer = (status: number, body: unknown): void => {
        if (cut >= 0) request.socket.destroy();
        else response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      const failure = (status: number, reason: string, message: string): void =>
        answer(status, { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message, code: status });
      if (request.headers.authorization !== 'Bearer cluster-token') return failure(401, 'Unauthorized', 'Unauthorized');
      const { verb: doing, group, resource } = actionOf(request.method ?? '', url.pathname);
      this.asked.add(`${doing} ${resource}`);
      const granted = ({ apiGroups, resources, verbs }: Rule): boolean =>
        apiGroups.includes(group) && resources.includes(resource) && verbs.includes(doing);
      if (this.role !== null && !this.role.some(granted))
        return failure(403, 'Forbidden', `${resource} is forbidden: the account cannot ${doing} it`);
      if (url.pathname === '/apis/networking.k8s.io/v1/namespaces/runs/networkpolicies')
        return answer(200, { kind: 'NetworkPolicyList', apiVersion: 'networking.k8s.io/v1', items: this.policies });
      if (!url.pathname.startsWith('/api/v1/namespaces/runs/pods')) return failure(404, 'NotFound', 'not found');
      const [, name, verb] =
        /^\/([^/]+)(?:\/(log))?$/.exec(url.pathname.slice('/api/v1/namespaces/runs/pods'.length)) ?? [];
      if (request.method === 'POST') {
        if (this.refuses)
          return failure(403, 'Forbidden', 'pods is forbidden: violates PodSecurity "restricted:latest"');
        void json(request).then((body) => {
          const wrong = misfit(body);
          if (wrong === null) answer(201, this.create(body as Pod));
          else failure(422, 'Invalid', wrong);
        });
        return;
      }
      const found = name === undefined ? undefined : this.running.get(name);
      if (found === undefined) return failure(404, 'NotFound', `pods "${name}" not found`);
      if (request.method === 'DELETE') {
        found.stop.abort();
        this.running.delete(name!);
        return answer(200, { ...found.pod, status: found.status });
      }
      if (verb !== 'log') return answer(200, { ...found.pod, status: found.status });
      response.writeHead(200, { 'content-type': 'text/plain' });
      for (const chunk of found.log) response.write(chunk);
      if (found.status['phase'] !== 'Running' || url.searchParams.get('follow') !== 'true') response.end();
      else found.readers.add(response);
    });
  }

  static async start(root: string): Promise<Cluster> {
    const cluster = new Cluster(root);
    await new Promise<void>((resolve) => cluster.server.listen(0, '127.0.0.1', resolve));
    return cluster;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const { stop } of this.running.values()) stop.abort();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private create(pod: Pod): unknown {
    this.created.push(pod);
    const entry: Running = {
      pod,
      status: { phase: 'Pending', containerStatuses: [{ state: { waiting: { reason: 'ContainerCreating' } } }] },
      log: [],
      readers: new Set(),
      stop: new AbortController(),
    };
    this.running.set(pod.metadata.name, entry);
    const status = entry.status;
    if (this.instead !== null) entry.status = this.instead(pod);
    else void this.run(entry);
    return { ...pod, status };
  }

  private async run(entry: Running): Promise<void> {
    const [container] = entry.pod.spec.containers;
    if (container === undefined) return;
    const bound = container.volumeMounts.filter(({ subPath }) => subPath !== undefined);
    const from = (mount: (typeof bound)[number]): string => join(this.root, mount.subPath!);
    const work = bound.find(({ mountPath }) => mountPath === sandboxPaths.work)!;
    const env = new Map<string, string>();
    for (const { name, value } of container.env) env.set(name, expand(value, env));
    const run: SandboxRun = {
      command: [...container.command, ...container.args].map((word) => expand(word, env)),
      workDir: from(work),
      mounts: bound
        .filter((mount) => mount !== work)
        .map((mount) => ({ from: from(mount), to: mount.mountPath, mode: mount.readOnly === true ? 'ro' : 'rw' })),
      env: Object.fromEntries(env),
      network: this.walled ? 'none' : 'registry',
      limits: { timeoutMs: 60_000 },
      signal: entry.stop.signal,
      onOutput: (chunk) => {
        entry.log.push(chunk);
        for (const reader of entry.readers) reader.write(chunk);
      },
    };
    entry.status = { phase: 'Running', containerStatuses: [{ state: { running: { startedAt: '' } } }] };
    const ended = await bwrapDriver.run(run).catch(() => null);
    const exitCode = ended?.exitCode ?? 137;
    entry.status = {
      phase: exitCode === 0 ? 'Succeeded' : 'Failed',
      containerStatuses: [{ state: { terminated: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error' } } }],
    };
    for (const reader of entry.readers) reader.end();
  }
}

function actionOf(method: string, path: string): { verb: string; group: string; resource: string } {
  const [, group = '', kind = '', name, part] =
    /^\/(?:api|apis\/([^/]+))\/v1\/namespaces\/[^/]+\/([^/]+)(?:\/([^/]+)(?:\/([^/]+))?)?$/.exec(path) ?? [];
  const verb = { POST: 'create', DELETE: 'delete', GET: name === undefined ? 'list' : 'get' }[method] ?? method;
  return { verb, group, resource: part === undefined ? kind : `${kind}/${part}` };
}

function misfit(body: unknown): string | null {
  try {
    new PodModel(body as ConstructorParameters<typeof PodModel>[0]).validate();
    return null;
  } catch (error) {
    return String(error);
  }
}

import { createHash, randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join, relative } from 'node:path';
import { z } from 'zod';
import {
  commandLine,
  isRoot,
  SandboxError,
  sandboxPaths,
  Tail,
  type SandboxDriver,
  type SandboxMount,
  type SandboxResult,
} from './driver.ts';
import { readReport } from './report.ts';
import { giveWritable, prepare } from './unshare.ts';

const account = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Where runs become pods. What is left out is what every pod is told about its cluster. */
export const kubernetesSettings = z.strictObject({
  url: z
    .url()
    .default('https://kubernetes.default.svc')
    .describe('of the API server; http only for an address of this machine'),
  namespace: z.string().min(1).max(63).optional(),
  tokenFile: z.string().startsWith('/').default(`${account}/token`),
  caFile: z.string().startsWith('/').default(`${account}/ca.crt`),
  /** The verifier's own image does: it needs a shell, coreutils and util-linux. */
  image: z.string().min(1).max(500),
  /** A PersistentVolumeClaim that is mounted at `root` here; every folder of a run lies below it. */
  claim: z.string().min(1).max(253),
  root: z.string().startsWith('/'),
  /** gVisor's or Kata's, where the cluster has one. */
  runtimeClass: z.string().min(1).max(253).optional(),
  /** Where this process runs (`spec.nodeName`): results come through pipes, which do not reach from one node to another. */
  nodeName: z.string().min(1).max(253).optional(),
  /** This pod: what it leaves when it is killed, the cluster takes away with it. */
  owner: z.strictObject({ name: z.string(), uid: z.string() }).optional(),
  user: z.number().int().min(1).optional().describe('default: ours'),
  cpu: z.string().max(20).default('2'),
  startSeconds: z.number().int().min(1).max(3600).default(180),
});
export type KubernetesSettings = z.infer<typeof kubernetesSettings>;

export const podLabels = { 'app.kubernetes.io/managed-by': 'muster', 'muster.dev/sandbox': 'run' } as const;

/** What we read of the answers; everything else of them is nothing to us. */
const podStatus = z.object({
  status: z
    .object({
      phase: z.string().optional(),
      reason: z.string().optional(),
      message: z.string().optional(),
      containerStatuses: z
        .array(
          z.object({
            state: z
              .object({
                waiting: z.object({ reason: z.string().optional(), message: z.string().optional() }).optional(),
                running: z.object({}).optional(),
                terminated: z
                  .object({ exitCode: z.number().int(), reason: z.string().optional(), signal: z.number().optional() })
                  .optional(),
              })
              .default({}),
          }),
        )
        .default([]),
    })
    .default({ containerStatuses: [] }),
});
const policies = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      spec: z.object({
        podSelector: z
          .object({
            matchLabels: z.record(z.string(), z.string()).default({}),
            matchExpressions: z.array(z.unknown()).default([]),
          })
          .prefault({}),
        policyTypes: z.array(z.string()).default(['Ingress']),
        ingress: z.array(z.unknown()).default([]),
        egress: z.array(z.unknown()).default([]),
      }),
    }),
  ),
});
const refusal = z.object({ message: z.string() });

/** Reasons for which a container that waits will never start. */
const hopeless =
  /^(ErrImagePull|ImagePullBackOff|InvalidImageName|CreateContainerConfigError|CreateContainerError|RunContainerError)$/;
const lookEveryMs = 200;
const patienceMs = 30_000;

class ApiServerError extends SandboxError {
  /** Whether asking again may help. */
  readonly passing: boolean;
  constructor(passing: boolean, message: string) {
    super(message);
    this.passing = passing;
  }
}

/**
 * Runs in the pod before the command. Errors go to a file: the log of a pod tells nothing apart. What the kubelet does not bound for
 * us is bounded here.
 */
const enter = `
mkdir -p /tmp/home
exec prlimit --core=0 --nofile=1024 --fsize="$1" --nproc="$2" --data="$3" sh -c 'shift 3; exec "$@" 2>>/muster/out/stderr' sh "$@"
`;

class ApiServer {
  private readonly settings: KubernetesSettings;
  readonly namespace: string;

  constructor(settings: KubernetesSettings) {
    this.settings = settings;
    const { protocol, hostname } = new URL(settings.url);
    if (protocol !== 'https:' && !['127.0.0.1', 'localhost', '[::1]'].includes(hostname))
      throw new SandboxError('the API server is asked over https only: a token goes along');
    const own = `${account}/namespace`;
    this.namespace = settings.namespace ?? (existsSync(own) ? readFileSync(own, 'utf8').trim() : 'default');
  }

  async json<T extends z.ZodType>(method: string, path: string, answer: T, body?: unknown): Promise<z.infer<T>> {
    const response = await this.send(method, path, body);
    const text = await textOf(response);
    const status = response.statusCode ?? 0;
    if (status >= 300) {
      const said = refusal.safeParse(jsonOf(text));
      throw new ApiServerError(
        status === 429 || status >= 500,
        `the API server answered ${status} to ${method} ${path.split('?')[0]}: ${said.success ? said.data.message.slice(0, 1000) : text.slice(0, 300)}`,
      );
    }
    return answer.parse(jsonOf(text));
  }

  /** A pod runs on while the API server restarts or is busy, and is worth more than one question. */
  async patiently<T extends z.ZodType>(path: string, answer: T, signal?: AbortSignal): Promise<z.infer<T>> {
    const until = performance.now() + patienceMs;
    for (;;)
      try {
        return await this.json('GET', path, answer);
      } catch (error) {
        const passing = error instanceof ApiServerError && error.passing;
        if (!passing || performance.now() > until || signal?.aborted === true) throw error;
        await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
      }
  }

  /** The log of a pod as it grows, until the container has ended. */
  async follow(path: string, onChunk: (chunk: Buffer) => void, signal: AbortSignal): Promise<void> {
    const response = await this.send('GET', path, undefined, signal);
    for await (const chunk of response) if (response.statusCode === 200) onChunk(chunk as Buffer);
    if (response.statusCode !== 200)
      throw new SandboxError(`the log of a pod could not be read: ${response.statusCode}`);
  }

  private send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<IncomingMessage> {
    const { url, tokenFile, caFile } = this.settings;
    const target = new URL(path, url);
    const request = target.protocol === 'https:' ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const sending = request(
        target,
        {
          method,
          // A connection that idled while tools were copied may be closed at the other end by now.
          agent: false,
          headers: {
            accept: 'application/json',
            // Read each time: the cluster renews it.
            authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(existsSync(caFile) ? { ca: readFileSync(caFile) } : {}),
          ...(signal === undefined ? { timeout: 30_000 } : { signal }),
        },
        resolve,
      );
      sending.on('timeout', () => sending.destroy(new Error('no answer within 30 s')));
      sending.on('error', (error) =>
        reject(new ApiServerError(true, `the API server could not be asked: ${error.message}`)),
      );
      sending.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > 8_000_000) throw new SandboxError('the API server answers without an end');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Each run is a pod of its own under the restricted profile, beside the verifier, and gone afterwards. */
export function kubernetesDriver(settings: KubernetesSettings): SandboxDriver {
  const api = new ApiServer(settings);
  const pods = `/api/v1/namespaces/${api.namespace}/pods`;

  /** Pods reach everything unless somebody says otherwise, and what several policies allow adds up. */
  const assertNoNetwork = async (): Promise<void> => {
    const { items } = await api.json(
      'GET',
      `/apis/networking.k8s.io/v1/namespaces/${api.namespace}/networkpolicies`,
      policies,
    );
    const ours = items.filter(
      ({ spec: { podSelector } }) =>
        podSelector.matchExpressions.length > 0 ||
        Object.entries(podSelector.matchLabels).every(
          ([name, value]) => new Map(Object.entries(podLabels)).get(name) === value,
        ),
    );
    const opening = ours.find(({ spec }) => spec.ingress.length + spec.egress.length > 0);
    if (opening !== undefined)
      throw new SandboxError(`the NetworkPolicy ${opening.metadata.name} lets pods of runs into the network`);
    const closed = (type: string): boolean =>
      ours.some(({ spec }) => spec.podSelector.matchExpressions.length === 0 && spec.policyTypes.includes(type));
    if (!closed('Egress') || !closed('Ingress'))
      throw new SandboxError(
        `no NetworkPolicy in ${api.namespace} denies all ingress and egress to pods with the label muster.dev/sandbox=run`,
      );
  };

  /** Tools that lie elsewhere than on the volume are put there once, by what they are. */
  const onVolume = async ({ from }: SandboxMount): Promise<string> => {
    const inside = relative(settings.root, from);
    if (!inside.startsWith('..')) return inside;
    const { mtimeMs, ino } = statSync(from);
    const key = createHash('sha256').update(`${from}\n${mtimeMs}\n${ino}`).digest('hex').slice(0, 24);
    const place = join('tools', key);
    if (!existsSync(join(settings.root, place))) {
      mkdirSync(join(settings.root, 'tools'), { recursive: true });
      const draft = mkdtempSync(join(settings.root, 'tools', '.draft-'));
      await cp(from, join(draft, 'it'), { recursive: true, verbatimSymlinks: true });
      try {
        renameSync(join(draft, 'it'), join(settings.root, place));
      } catch (error) {
        if (!existsSync(join(settings.root, place))) throw error;
      } finally {
        rmSync(draft, { recursive: true, force: true });
      }
    }
    return place;
  };

  return {
    name: 'kubernetes',
    scratch: settings.root,
    targets: async () => {
      const { hostname, port, protocol } = new URL(settings.url);
      // By its address: a pod that finds no names may still find its way.
      const found = await lookup(hostname.replace(/^\[|\]$/g, ''), { all: true });
      return found.map(({ address }) => ({ host: address, port: Number(port) || (protocol === 'https:' ? 443 : 80) }));
    },
    paths: () => ({ work: sandboxPaths.work, report: sandboxPaths.report }),
    async run(run): Promise<SandboxResult> {
      const started = performance.now();
      run.signal?.throwIfAborted();
      if (run.network === 'registry') throw new SandboxError('pods of runs have no network at all');
      const user = settings.user ?? process.getuid?.() ?? 0;
      if (user === 0) throw new SandboxError('pods of runs are no root: run the verifier as an ordinary user');
      await assertNoNetwork();
      const { limits, mounts, env } = prepare(run);
      if (isRoot()) giveWritable(mounts, user);
      const name = `muster-run-${randomBytes(8).toString('hex')}`;
      const out = mkdtempSync(join(settings.root, 'out-'));
      mounts.push({ from: out, to: '/muster/out', mode: 'rw' });
      if (isRoot()) giveWritable([{ from: out, to: '', mode: 'rw' }], user);
      const stdout = new Tail(limits.outputBytes);
      const places = new Map<SandboxMount, string>();
      const following = new AbortController();
      let log: Promise<void> | undefined;
      let asked = false;
      try {
        for (const mount of mounts) if (mount.mode !== 'tmpfs') places.set(mount, await onVolume(mount));
        // Also when the answer does not come: the pod may be there.
        asked = true;
        await api.json(
          'POST',
          // A field that the API server does not know would be dropped in silence, a wall for instance.
          `${pods}?fieldValidation=Strict`,
          podStatus,
          podOf(settings, { name, user, mounts, env, limits, command: run.command, places }),
        );
        const startBy = performance.now() + settings.startSeconds * 1000;
        let runsUntil: number | null = null;
        for (;;) {
          run.signal?.throwIfAborted();
          const { status } = await api.patiently(`${pods}/${name}`, podStatus, run.signal);
          const state = status.containerStatuses[0]?.state ?? {};
          if ((state.running ?? state.terminated) !== undefined && log === undefined) {
            runsUntil = performance.now() + limits.timeoutMs;
            log = api
              .follow(
                `${pods}/${name}/log?container=run&follow=true`,
                (chunk) => {
                  stdout.push(chunk);
                  run.onOutput?.(chunk, 'stdout');
                },
                following.signal,
              )
              .catch(() => undefined);
          }
          const late = runsUntil !== null && performance.now() > runsUntil;
          const over = status.phase === 'Succeeded' || status.phase === 'Failed';
          if (over || late) {
            const timedOut = late && state.terminated === undefined ? true : status.reason === 'DeadlineExceeded';
            const stopped = stoppedBy(status.reason, state.terminated?.reason, limits);
            if (state.terminated === undefined && !timedOut && stopped === null)
              throw new SandboxError(
                `the pod ended before it began: ${status.reason ?? ''} ${status.message ?? ''}`.trim(),
              );
            // The rest of the log comes within moments; a pod that hangs there has nothing more to say.
            const rest = setTimeout(() => following.abort(), timedOut ? 0 : 10_000);
            await log;
            clearTimeout(rest);
            const errors = readReport(join(out, 'stderr'), limits.fileMb * 1024 * 1024) ?? '';
            const stderr = errors.slice(-limits.outputBytes);
            if (stderr !== '') run.onOutput?.(Buffer.from(stderr), 'stderr');
            return {
              exitCode: timedOut || stopped !== null ? null : (state.terminated?.exitCode ?? null),
              signal: null,
              timedOut,
              stopped,
              // The kubelet counts them, and tells nobody when the pod is gone.
              peakMemoryMb: 0,
              writtenMb: 0,
              stdout: stdout.toString(),
              stderr: stopped === null ? stderr : `${stderr}\n[stopped by the sandbox: ${stopped}]\n`,
              ms: Math.round(performance.now() - started),
            };
          }
          const { waiting } = state;
          if (waiting?.reason !== undefined && hopeless.test(waiting.reason))
            throw new SandboxError(`the pod cannot start: ${waiting.reason} ${waiting.message ?? ''}`.trim());
          if (log === undefined && performance.now() > startBy)
            throw new SandboxError(
              `the pod did not start within ${settings.startSeconds} s: ${status.reason ?? waiting?.reason ?? 'no reason told'}`,
            );
          await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
        }
      } finally {
        following.abort();
        // Its deadline and its owner end it where we cannot.
        if (asked) await api.json('DELETE', `${pods}/${name}?gracePeriodSeconds=0`, z.unknown()).catch(() => undefined);
        rmSync(out, { recursive: true, force: true });
      }
    },
  };
}

function stoppedBy(
  reason: string | undefined,
  ended: string | undefined,
  limits: { totalMemoryMb: number; diskMb: number },
): string | null {
  if (ended === 'OOMKilled') return `its processes held more than ${limits.totalMemoryMb} MB`;
  if (reason === 'Evicted') return `it was evicted; it may write ${limits.diskMb} MB in all`;
  return null;
}

/** The kubelet puts values where a word says `$(NAME)` and halves `$$`; what a command says is meant for its shell. */
const literal = (word: string): string => word.replaceAll('$', () => '$$');

function podOf(
  settings: KubernetesSettings,
  run: {
    name: string;
    user: number;
    mounts: readonly SandboxMount[];
    env: Readonly<Record<string, string>>;
    limits: ReturnType<typeof prepare>['limits'];
    command: readonly string[] | string;
    places: ReadonlyMap<SandboxMount, string>;
  },
): unknown {
  const { limits } = run;
  const scratch = run.mounts.filter(({ mode }) => mode === 'tmpfs');
  const restricted = {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    capabilities: { drop: ['ALL'] },
  };
  const bounds = { cpu: settings.cpu, memory: `${limits.totalMemoryMb}Mi`, 'ephemeral-storage': `${limits.diskMb}Mi` };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: run.name,
      labels: podLabels,
      ...(settings.owner === undefined
        ? {}
        : { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', ...settings.owner, blockOwnerDeletion: false }] }),
    },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      hostNetwork: false,
      hostPID: false,
      hostIPC: false,
      terminationGracePeriodSeconds: 0,
      // From its start; the image may have to be fetched first.
      activeDeadlineSeconds: Math.ceil(limits.timeoutMs / 1000) + settings.startSeconds,
      // Nobody answers, and nobody is asked.
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['127.0.0.1'] },
      ...(settings.runtimeClass === undefined ? {} : { runtimeClassName: settings.runtimeClass }),
      ...(settings.nodeName === undefined ? {} : { nodeName: settings.nodeName }),
      securityContext: {
        runAsNonRoot: true,
        runAsUser: run.user,
        runAsGroup: run.user,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'run',
          image: settings.image,
          command: ['/bin/sh', '-c', literal(enter), 'sandbox'],
          args: [
            String(limits.fileMb * 1024 * 1024),
            String(limits.processes),
            String(limits.memoryMb * 1024 * 1024),
            ...commandLine(run.command).map(literal),
          ],
          workingDir: sandboxPaths.work,
          env: Object.entries(run.env).map(([name, value]) => ({ name, value: literal(value) })),
          securityContext: restricted,
          resources: { requests: { ...bounds, cpu: '100m', memory: '256Mi' }, limits: bounds },
          volumeMounts: [
            { name: 'tmp', mountPath: '/tmp' },
            ...run.mounts.map((mount) =>
              mount.mode === 'tmpfs'
                ? { name: `scratch-${scratch.indexOf(mount)}`, mountPath: mount.to }
                : { name: 'runs', mountPath: mount.to, subPath: run.places.get(mount), readOnly: mount.mode === 'ro' },
            ),
          ],
        },
      ],
      volumes: [
        { name: 'runs', persistentVolumeClaim: { claimName: settings.claim } },
        { name: 'tmp', emptyDir: { sizeLimit: '1Gi' } },
        ...scratch.map((_mount, index) => ({ name: `scratch-${index}`, emptyDir: { sizeLimit: '256Mi' } })),
      ],
    },
  };
}

import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, useSystemTools } from '../../../../test/support/cluster.ts';
import { missingPrograms, needing } from '../../../../test/support/needing.ts';
import { commandDriver } from './command.ts';
import { detectSandbox } from './detect.ts';
import { kubernetesDriver, kubernetesSettings, type KubernetesSettings } from './kubernetes.ts';
import { sandboxPaths } from './driver.ts';
import { proveSandbox } from './proof.ts';

const { describe: suite } = needing('the sandboxes that an operator names', missingPrograms('bwrap'));

let root: string;
useSystemTools();
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gate-named-'));
  chmodSync(root, 0o755);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));
const program = (name: string, text: string): string[] => {
  writeFileSync(join(root, name), text);
  return [process.execPath, join(root, name)];
};

/** A wrapper as an operator would write it, around bubblewrap. */
const walls = (network: string): string => `
const { readFileSync, existsSync, lstatSync, readlinkSync } = require('node:fs');
const { spawnSync } = require('node:child_process');
const run = JSON.parse(readFileSync(process.argv.at(-1), 'utf8'));
const system = ['bin', 'sbin', 'lib', 'lib64'].filter((name) => existsSync('/' + name)).flatMap((name) =>
  lstatSync('/' + name).isSymbolicLink() ? ['--symlink', readlinkSync('/' + name), '/' + name] : ['--ro-bind', '/' + name, '/' + name]);
const drop = run.uid === null ? [] : ['setpriv', '--reuid=' + run.uid, '--regid=' + run.uid, '--clear-groups', '--no-new-privs'];
// What that user cannot reach stays outside.
const reaches = (from) => run.uid === null || spawnSync(drop[0], [...drop.slice(1), 'test', '-e', from]).status === 0;
const args = ['--unshare-user', '--unshare-pid', '--unshare-ipc', '--unshare-uts', ${network} '--disable-userns', '--die-with-parent', '--new-session',
  '--uid', '1000', '--gid', '1000', '--cap-drop', 'ALL', '--ro-bind', '/usr', '/usr', ...system, '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp',
  ...run.mounts.filter(({ from, mode }) => mode === 'tmpfs' || reaches(from)).flatMap(({ from, to, mode }) => mode === 'tmpfs' ? ['--tmpfs', to] : [mode === 'ro' ? '--ro-bind' : '--bind', from, to]),
  '--dir', '/etc', '--remount-ro', '/', '--chdir', run.workDir, '--clearenv',
  ...Object.entries(run.env).flatMap(([name, value]) => ['--setenv', name, value]),
  'sh', '-c', 'echo ready >&3; exec 3>&-; mkdir -p /tmp/home; exec "$@"', 'sh', ...run.command];
const [first, ...rest] = [...drop, 'bwrap', ...args];
process.exit(spawnSync(first, rest, { stdio: ['ignore', 'inherit', 'inherit', 3] }).status ?? 1);
`;

suite('the command sandbox', () => {
  it('is used when what the operator named withstands, and runs what it is told', async () => {
    const command = program('walls.cjs', walls("'--unshare-net',"));
    const sandbox = await detectSandbox('command', [], { command });
    expect(sandbox).toMatchObject({ proven: true, driver: { name: 'command' } });
    const work = mkdtempSync(join(root, 'work-'));
    const heard: string[] = [];
    const result = await sandbox.driver!.run({
      command: 'echo "$GIVEN"; echo bad >&2; pwd > where; exit 7',
      workDir: work,
      env: { GIVEN: 'a word' },
      onOutput: (chunk, stream) => heard.push(`${stream} ${chunk.toString().trim()}`),
    });
    expect(result).toMatchObject({ exitCode: 7, stdout: 'a word\n', stderr: 'bad\n', timedOut: false });
    expect(heard.sort()).toEqual(['stderr bad', 'stdout a word']);
    expect(readFileSync(join(work, 'where'), 'utf8')).toBe(`${sandboxPaths.work}\n`);
    const endless = await sandbox.driver!.run({ command: 'sleep 61.25', workDir: work, limits: { timeoutMs: 1500 } });
    expect(endless).toMatchObject({ timedOut: true, exitCode: null });
  });

  it.each([
    ['has no walls', `const { spawnSync } = require('node:child_process'), fs = require('node:fs');
      const run = JSON.parse(fs.readFileSync(process.argv.at(-1), 'utf8')); fs.writeSync(3, 'ready');
      process.exit(spawnSync(run.command[0] === 'node' ? process.execPath : run.command[0], run.command.slice(1), { cwd: run.mounts.find(({ to }) => to === '${sandboxPaths.work}').from, env: { ...process.env, ...run.env }, stdio: 'inherit' }).status ?? 1);`, /it could/], // prettier-ignore
    ['shares the network of the host', walls(''), /reach a listener of the host/],
    ['never says that it is ready', 'process.exit(0);', /could not be set up/],
  ])('is not used when it %s', async (_what, text, why) => {
    const sandbox = await detectSandbox('command', [], { command: program('bad.cjs', text) });
    expect(sandbox).toMatchObject({ driver: null, proven: false });
    expect(sandbox.notes.join('\n')).toMatch(why);
  });

  it('is nothing without a command', async () => {
    expect(await detectSandbox('command')).toMatchObject({ driver: null, notes: [expect.stringContaining('command')] });
    const missing = await proveSandbox(commandDriver([join(root, 'nowhere')]));
    expect(missing).toMatchObject({ proven: false, notes: [expect.stringContaining('could not be started')] });
  });
});

suite('the pod sandbox', () => {
  let cluster: Cluster;
  let volume: string;
  let settings: KubernetesSettings;
  beforeAll(() => {
    volume = mkdtempSync(join(root, 'volume-'));
    chmodSync(volume, 0o755);
  });
  beforeEach(async () => {
    cluster = await Cluster.start(volume);
    const tokenFile = join(root, 'token');
    writeFileSync(tokenFile, 'cluster-token\n');
    settings = kubernetesSettings.parse({
      ...{ url: cluster.url, namespace: 'runs', tokenFile, caFile: join(root, 'no-ca') },
      ...{
        image: 'registry.example/muster:1',
        claim: 'runs',
        root: volume,
        user: 60_050,
        runtimeClass: 'gvisor',
        startSeconds: 5,
      },
    });
  });
  afterEach(() => cluster.stop());
  const work = (): string => {
    const folder = join(volume, 'work');
    mkdirSync(folder, { recursive: true });
    return folder;
  };

  it('withstands the proof where pods are walled in, and asks for a pod that the restricted profile allows', async () => {
    const sandbox = await detectSandbox('kubernetes', [volume], { kubernetes: settings });
    expect(sandbox).toMatchObject({ proven: true, driver: { name: 'kubernetes' } });
    const [pod] = cluster.created;
    expect(pod?.spec).toMatchObject({
      automountServiceAccountToken: false,
      restartPolicy: 'Never',
      runtimeClassName: 'gvisor',
      hostNetwork: false,
      hostPID: false,
      hostIPC: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, runAsUser: 60_050, seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(pod?.spec.containers).toMatchObject([
      {
        image: 'registry.example/muster:1',
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          runAsNonRoot: true,
          capabilities: { drop: ['ALL'] },
        },
        resources: { limits: { cpu: '2', memory: '6144Mi', 'ephemeral-storage': '2048Mi' } },
      },
    ]);
    expect(JSON.stringify(pod?.spec)).not.toMatch(/hostPath|cluster-token|secret/i);
    expect(cluster.running.size).toBe(0);
  });

  it('runs a command with its output as it comes, and leaves neither pod nor folder', async () => {
    const driver = kubernetesDriver(settings);
    const heard: string[] = [];
    const result = await driver.run({
      command: 'echo "$GIVEN"; echo bad >&2; echo left > file; exit 3',
      workDir: work(),
      env: { GIVEN: 'a word' },
      onOutput: (chunk, stream) => heard.push(`${stream} ${chunk.toString().trim()}`),
    });
    expect(result).toMatchObject({ exitCode: 3, stdout: 'a word\n', stderr: 'bad\n', timedOut: false, stopped: null });
    expect(heard).toEqual(['stdout a word', 'stderr bad']);
    expect(readFileSync(join(work(), 'file'), 'utf8')).toBe('left\n');
    expect(cluster.running.size).toBe(0);
    expect(readdirSync(volume).filter((name) => name.startsWith('out-'))).toEqual([]);
    const late = await driver.run({ command: 'echo begun; sleep 60.75', workDir: work(), limits: { timeoutMs: 1000 } });
    expect(late).toMatchObject({ timedOut: true, exitCode: null, stdout: 'begun\n' });
    expect(cluster.running.size).toBe(0);
  });

  it('hands commands and environments on as they are, whatever the kubelet would put in', async () => {
    const result = await kubernetesDriver(settings).run({
      command: ['sh', '-c', "test $$ -gt 0 && echo \"$GIVEN\" $(echo run) '$(GIVEN)' '$$(GIVEN)' '$$'"],
      workDir: work(),
      env: { GIVEN: '$(HOME) $$' },
    });
    expect(result).toMatchObject({ exitCode: 0, stdout: '$(HOME) $$ run $(GIVEN) $$(GIVEN) $$\n' });
  });

  it('is not used where pods reach the network, whatever a policy says', async () => {
    cluster.walled = false;
    const { proven, notes } = await proveSandbox(kubernetesDriver(settings), [volume]);
    expect({ proven, notes: notes.join() }).toEqual({
      proven: false,
      notes: expect.stringContaining('reach a listener of the host'),
    });
  });

  it.each([
    ['there is no policy', [], /no NetworkPolicy in runs denies all/],
    [
      'the policy is about other pods',
      [
        {
          metadata: { name: 'x' },
          spec: { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress', 'Egress'] },
        },
      ],
      /no NetworkPolicy/,
    ],
    [
      'only what comes in is denied',
      [{ metadata: { name: 'x' }, spec: { podSelector: {}, policyTypes: ['Ingress'] } }],
      /no NetworkPolicy/,
    ],
    [
      'another policy opens what one denies',
      [
        { metadata: { name: 'deny' }, spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] } },
        {
          metadata: { name: 'dns' },
          spec: { podSelector: {}, policyTypes: ['Egress'], egress: [{ ports: [{ port: 53 }] }] },
        },
      ],
      /the NetworkPolicy dns lets pods/,
    ],
  ])('runs nothing when %s', async (_what, policies, why) => {
    // prettier-ignore
    cluster.policies = policies;
    await expect(kubernetesDriver(settings).run({ command: 'true', workDir: work() })).rejects.toThrow(why);
    expect(cluster.created).toEqual([]);
  });

  it('says why a pod did not come about, and which limit ended one', async () => {
    const run = () => kubernetesDriver(settings).run({ command: 'true', workDir: work() });
    cluster.refuses = true;
    await expect(run()).rejects.toThrow(/403.*violates PodSecurity/);
    cluster.refuses = false;
    const state =
      (given: object, more: object = {}) =>
      () => ({ phase: 'Pending', containerStatuses: [{ state: given }], ...more });
    cluster.instead = state({ waiting: { reason: 'ImagePullBackOff', message: 'no such image' } });
    await expect(run()).rejects.toThrow(/ImagePullBackOff no such image/);
    cluster.instead = state({ waiting: { reason: 'ContainerCreating' } });
    settings = { ...settings, startSeconds: 1 };
    await expect(run()).rejects.toThrow(/did not start within 1 s/);
    cluster.instead = state({ terminated: { exitCode: 137, reason: 'OOMKilled' } }, { phase: 'Failed' });
    expect(await run()).toMatchObject({ exitCode: null, stopped: expect.stringContaining('6144 MB') });
    cluster.instead = state(
      { terminated: { exitCode: 137, reason: 'Error' } },
      { phase: 'Failed', reason: 'DeadlineExceeded' },
    );
    expect(await run()).toMatchObject({ exitCode: null, timedOut: true });
    cluster.instead = () => ({
      phase: 'Failed',
      reason: 'Evicted',
      message: 'ephemeral storage',
      containerStatuses: [],
    });
    expect(await run()).toMatchObject({ exitCode: null, stopped: expect.stringContaining('evicted') });
    expect(cluster.running.size).toBe(0);
    await cluster.stop();
    await expect(run()).rejects.toThrow(/could not be asked/);
  });

  it('asks again while the API server is away, and leaves no pod of whose making it was not told', async () => {
    const run = () => kubernetesDriver(settings).run({ command: 'sleep 0.5; echo done', workDir: work() });
    cluster.cut.push(/^GET .*\/pods\/[^/]+$/, /^GET .*\/pods\/[^/]+$/);
    expect(await run()).toMatchObject({ exitCode: 0, stdout: 'done\n' });
    expect(cluster.cut).toEqual([]);
    cluster.cut.push(/^POST .*\/pods$/);
    await expect(run()).rejects.toThrow(/could not be asked/);
    expect(cluster.created).toHaveLength(2);
    expect(cluster.running.size).toBe(0);
  });

  it('sends its token over https only, and runs nothing as root', async () => {
    expect(() => kubernetesDriver({ ...settings, url: 'http://api.example' })).toThrow(/https only/);
    const asRoot = { ...settings, user: undefined };
    if (process.getuid?.() === 0)
      await expect(kubernetesDriver(asRoot).run({ command: 'true', workDir: work() })).rejects.toThrow(/no root/);
    await expect(
      kubernetesDriver(settings).run({ command: 'true', workDir: work(), network: 'registry' }),
    ).rejects.toThrow(/no network/);
  });
});

import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type {
  CheckFacts,
  Finding,
  ForgeRequest,
  ForgeSecret,
  ForgeView,
  ProjectView,
  setForge,
  SubmissionView,
  TaskAssignment,
  TaskView,
  VerificationFacts,
  VerifyInput,
} from '@muster/contracts';
import { sign } from '@octokit/webhooks-methods';
import type { z } from 'zod';
import type { Page } from '#kernel';
import { Authenticator } from '#messages/auth';
import { type TestResponse, type TestServer, startApp } from '#test/app';
import { ForgeHere } from '../../../test/support/forge-here.ts';
import { LookAtRequests } from '../src/commands/look-at-requests.ts';
import { SendStatuses } from '../src/commands/send-statuses.ts';

const run = promisify(execFile);
/** As GitHub answered once, with all the fields that it sends. */
const [recordedStatus] = createRequire(import.meta.url)(
  '@octokit/fixtures/scenarios/api.github.com/create-status/normalized-fixture.json',
) as [{ response: object; headers: Record<string, string> }];

export interface Followed {
  /** A work tree beside the project, whose repository is what the forge would hold. */
  readonly there: string;
  readonly project: ProjectView;
  readonly webhook: ForgeSecret;
}

/** A whole server, and a forge beside it that its accounts `hub`, `app` and `lab` are for. */
export class ForgeWorld {
  #number = 0;
  #author: { key: string; instanceId: string } | null = null;
  #verifier: { key: string; instanceId: string } | null = null;

  private constructor(
    readonly folder: string,
    readonly forge: ForgeHere,
    readonly server: TestServer,
  ) {}

  static async begin(): Promise<ForgeWorld> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'muster-forges-')));
    const forge = new ForgeHere();
    forge.recorded = recordedStatus;
    const api = await forge.listen();
    const accounts = join(folder, 'forges.yaml');
    const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const keyFile = join(folder, 'app.pem');
    await writeFile(keyFile, keys.privateKey.export({ type: 'pkcs1', format: 'pem' }));
    await writeFile(
      accounts,
      `accounts:
  hub: { kind: github, api: '${api}', token: token-of-hub, repositories: ['octo/*'] }
  app: { kind: github, api: '${api}', app: { id: 12, keyFile: '${keyFile}' }, repositories: ['apps/*'] }
  lab: { kind: gitlab, api: '${api}', token: token-of-lab, repositories: ['group/**'] }
`,
    );
    const env = { MUSTER_FORGES: accounts, MUSTER_IMPORT_PATHS: join(folder, 'allowed') };
    const world = new ForgeWorld(folder, forge, await startApp({ env }));
    world.appKey = String(keys.publicKey.export({ type: 'spki', format: 'pem' }));
    return world;
  }
  appKey = '';

  /** Statuses that were to be said later are said now. */
  async sayNow(): Promise<void> {
    await this.server.database.sql(
      `update forge_statuses set next_action_at = muster_now() where next_action_at is not null`,
    );
    await this.server.app.get(SendStatuses).round();
  }

  /** Requests that were to be looked at later are looked at now. */
  async lookNow(): Promise<void> {
    await this.server.database.sql(
      `update forge_requests set next_action_at = muster_now() where next_action_at is not null`,
    );
    await this.server.app.get(LookAtRequests).round();
  }

  async requestsOf(project: ProjectView): Promise<readonly ForgeRequest[]> {
    const path = `/api/projects/${project.id}/forge/requests`;
    return (await this.must<Page<ForgeRequest>>('GET', path)).items;
  }

  async end(): Promise<void> {
    await this.server.close();
    await this.forge.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Between two tests: nobody is on any forge, and the forge has heard nothing. */
  async forget(): Promise<void> {
    // A round of the server's may be at the same rows: then one of the two has to begin again.
    await this.server.database.transaction(async (tx) => {
      await tx.sql(`delete from forges`);
      await tx.sql(`delete from forge_pauses`);
    });
    this.forge.forget();
    this.forge.app = null;
  }

  async must<T>(method: string, path: string, body?: unknown, token?: string): Promise<T> {
    const options = token === undefined ? {} : { token };
    const answer: TestResponse = await this.server.request(method, path, body, options);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async until<T>(look: () => Promise<T | null | undefined | false>): Promise<T> {
    for (let left = 1000; left > 0; left--) {
      const found = await look();
      if (found !== null && found !== undefined && found !== false) return found;
      await new Promise((wake) => setTimeout(wake, 20));
    }
    throw new Error(`It did not come about. Asked: ${this.forge.asked.join(', ')}`);
  }

  async git(dir: string, ...args: string[]): Promise<string> {
    const who = ['-c', 'user.name=S', '-c', 'user.email=s@example.org', '-c', 'safe.directory=*'];
    return (await run('git', [...who, ...args], { cwd: dir })).stdout.trim();
  }

  async commit(dir: string, file: string, content = `${file}\n`): Promise<string> {
    await mkdir(dirname(join(dir, file)), { recursive: true });
    await writeFile(join(dir, file), content);
    await this.git(dir, 'add', '.');
    await this.git(dir, 'commit', '--quiet', '-m', file);
    return await this.git(dir, 'rev-parse', 'HEAD');
  }

  /** A project that follows a repository elsewhere, and knows where that is on a forge. */
  async followed(
    account: string,
    repository: string,
    more: Partial<z.input<typeof setForge>> = {},
    rules: string | null = null,
  ): Promise<Followed> {
    const there = join(this.folder, 'allowed', `there-${(this.#number += 1)}`);
    await mkdir(there, { recursive: true });
    await this.git(there, 'init', '--quiet', '-b', 'main');
    if (rules !== null) await this.commit(there, 'muster.yaml', rules);
    await this.commit(there, 'a.txt');
    const source = { name: `P ${this.#number}`, source: { path: there } };
    const project = await this.must<ProjectView>('POST', '/api/projects', source);
    await this.must('PUT', `/api/projects/${project.id}/remotes/from`, { url: `file://${there}` });
    await this.must('POST', `/api/projects/${project.id}/remotes/from/sync`);
    await this.must('PUT', `/api/projects/${project.id}/forge`, { account, repository, ...more });
    const webhook = await this.must<ForgeSecret>('POST', `/api/projects/${project.id}/forge/secret`);
    return { there, project, webhook };
  }

  /** What has landed goes back there as well. */
  async pushesBack({ there, project }: Followed): Promise<void> {
    await this.git(there, 'config', 'receive.denyCurrentBranch', 'ignore');
    await this.must('PUT', `/api/projects/${project.id}/remotes/to`, { url: `file://${there}` });
  }

  /** Commits on a branch of their own there, and a request with it: opened, or moved on. By force where it is another history. */
  async propose(
    { there }: Followed,
    ref: string,
    branch: string,
    file: string,
    content = `${file}\n`,
  ): Promise<string> {
    // The branch is never seen where main is: a forge would call its request merged.
    await this.git(there, 'checkout', '--quiet', '--detach', 'main');
    const head = await this.commit(there, file, content);
    for (const one of [ref, `refs/heads/${branch}`]) await this.git(there, 'update-ref', one, head);
    await this.git(there, 'checkout', '--quiet', '--force', 'main');
    return head;
  }

  async send(
    { webhookUrl }: ForgeSecret,
    text: string,
    headers: Record<string, string>,
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(new URL(new URL(webhookUrl).pathname, this.server.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: text,
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  async signed(webhook: ForgeSecret, text: string, delivery: string, event = 'push'): Promise<Record<string, string>> {
    return {
      'x-github-event': event,
      'x-github-delivery': delivery,
      'x-hub-signature-256': await sign(webhook.secret, text),
    };
  }

  forgeOf({ id }: ProjectView): Promise<ForgeView> {
    return this.must<ForgeView>('GET', `/api/projects/${id}/forge`);
  }

  /** The next verification of the project, answered with facts. What other tests have left is answered on the way. */
  async verify({ id }: ProjectView, findings: readonly Finding[] = []): Promise<void> {
    const verifier = (this.#verifier ??= await this.#connectVerifier());
    for (let isOurs = false; !isOurs;) {
      const task = await this.until(async () => {
        const wish = { waitSeconds: 2, count: 1 };
        const path = `/api/runtime/instances/${verifier.instanceId}/claim`;
        return (await this.must<{ tasks: TaskAssignment[] }>('POST', path, wish, verifier.key)).tasks[0];
      });
      isOurs = task.project?.id === id;
      await this.#answer(task, verifier.key, isOurs ? findings : []);
    }
  }

  async #answer(task: TaskAssignment, key: string, findings: readonly Finding[]): Promise<void> {
    const input = task.input as unknown as VerifyInput;
    const { candidateTree, baseTree, rulesDigest, policy } = input;
    const refused = findings.some(({ veto }) => veto);
    const checks: CheckFacts[] = policy.required.map((check, at) => ({
      check, category: 'tests', status: at === 0 && refused ? 'failed' : 'passed', summary: 'seen', metrics: {}, tool: null, ms: 1,
      findings: at === 0 ? [...findings] : [],
    })); // prettier-ignore
    const output: VerificationFacts = {
      candidateTree, baseTree, rulesDigest, checks, baseFailures: [], testCases: [], ms: 5,
      toolchain: { digest: 'd', node: '24', platform: 'linux-x64', sandbox: 'unshare', gate: '0.1.0' },
      sandbox: { driver: 'unshare', proven: true, notes: [] },
    }; // prettier-ignore
    await this.must('POST', `/api/tasks/${task.taskId}/attempts/${task.fence}/complete`, { output }, key);
  }

  /** An agent that is given work on the project. */
  async employ(project: ProjectView): Promise<void> {
    if (this.#author === null) {
      const source = 'metadata: { name: author, version: 1.0.0 }\nskills: [{ name: code.change }]\n';
      await this.must('POST', '/api/agents', { source, publish: true });
      const { secret: key } = await this.must<{ secret: string }>('POST', '/api/keys', { name: 'author' });
      const hello = { agent: 'author', capabilities: ['code.change'], capacity: 10 };
      const { instanceId } = await this.must<{ instanceId: string }>('POST', '/api/runtime/instances', hello, key);
      this.#author = { key, instanceId };
    }
    await this.must('POST', `/api/projects/${project.id}/agents`, { agent: 'author', capabilities: ['code.change'] });
  }

  start(project: ProjectView, title = 'Some work'): Promise<TaskView> {
    return this.must('POST', '/api/tasks', { projectId: project.id, capability: 'code.change', title, input: {} });
  }

  /** The agent takes the task that is next, and hands this in for it. */
  async submit(
    project: ProjectView,
    content: string,
    message = `Write ${content}\n\nas @everyone wants`,
  ): Promise<SubmissionView> {
    const { key, instanceId } = this.#author ?? { key: '', instanceId: '' };
    const { taskId, fence } = await this.until(async () => {
      const wish = { waitSeconds: 2, count: 1 };
      const path = `/api/runtime/instances/${instanceId}/claim`;
      return (await this.must<{ tasks: TaskAssignment[] }>('POST', path, wish, key)).tasks[0];
    });
    const { head } = await this.must<ProjectView>('GET', `/api/projects/${project.id}`);
    const files = [{ path: 'work.txt', content }];
    return await this.must('POST', '/api/submissions', { taskId, fence, base: head, message, files }, key);
  }

  async #connectVerifier(): Promise<{ key: string; instanceId: string }> {
    const key = await this.server.app.get(Authenticator).issueSystemKey('verifier');
    const hello = { agent: 'muster-verifier', capabilities: ['muster.verify'], capacity: 10 };
    const { instanceId } = await this.must<{ instanceId: string }>('POST', '/api/runtime/instances', hello, key);
    return { key, instanceId };
  }
}

export const finding = (n: number, more: Partial<Finding> = {}): Finding => ({
  check: 'tests',
  rule: 'tests.failed',
  level: 'error',
  veto: true,
  message: `the test ${n} fails`,
  path: 'b.txt',
  line: n,
  remedy: null,
  fingerprint: `f${n}`,
  ...more,
});

import {
  agentVersionView,
  agentView,
  apiKeyCreated,
  apiKeyView,
  assignmentView,
  checkTrend,
  enforcerView,
  verificationTrend,
  auditReport,
  cloudEvent,
  createdTasks,
  forgeRequest,
  forgeSecret,
  forgeView,
  incident,
  invariantReport,
  instanceView,
  landingView,
  limitView,
  operation,
  pageOf,
  processLog,
  projectDetail,
  projectView,
  provenanceKey,
  provenanceKeys,
  remoteView,
  rerunAnswer,
  runtimeStatus,
  reviewView,
  setView,
  submissionView,
  type CreateSet,
  type SetView,
  type ReviewSubmission,
  type ReviewView,
  supervisedView,
  taskCancelled,
  taskDetail,
  taskExplanation,
  taskHistory,
  taskView,
  trustPolicy,
  verificationArtefact,
  verificationChecks,
  verificationExplanation,
  verificationLog,
  verificationView,
  webhookView,
  whoAmI,
  type AuditReport,
  type CheckTrend,
  type EnforcerView,
  type VerificationTrend,
  type trendBuckets,
  type trendGroups,
  type CloudEvent,
  type CreateSubmission,
  type CreateTask,
  type ForgeRequest,
  type ForgeSecret,
  type ForgeView,
  type Incident,
  type InvariantReport,
  type InstanceView,
  type LandingView,
  type OpenIncident,
  type LimitView,
  type ProcessLog,
  type ProjectView,
  type ProvenanceKey,
  type ProvenanceKeys,
  type RemoteView,
  type RuntimeStatus,
  type WebhookView,
  type SubmissionView,
  type SupervisedView,
  type Priority,
  type TaskCancelled,
  type TaskDetail,
  type TaskExplanation,
  type TaskHistory,
  type TaskState,
  type TaskView,
  type TrustPolicy,
  type RerunAnswer,
  type RerunVerification,
  type VerificationArtefact,
  type VerificationExplanation,
  type VerificationLog,
  type VerificationView,
  type assignAgent,
  type createApiKey,
  type createProject,
  type createTasks,
  type executeCapability,
  type publishEvent,
  type registerAgent,
  type setForge,
  type setLimit,
  type setRemote,
  type startSupervised,
} from '@muster/contracts';
import { z } from 'zod';
import { BlobClient } from './blobs.ts';
import type { JsonValue } from './json.ts';
import { Http, type Credentials, type HttpOptions } from './http.ts';
import { followLog, type LogFollowing } from './followed-log.ts';
import { subscribe, type Subscription } from './stream.ts';

export interface Paging {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}
export interface TrendQuery {
  readonly projectId?: string | undefined;
  readonly agent?: string | undefined;
  readonly version?: string | undefined;
  /** ISO 8601 in UTC; thirty days ago where it is left out. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly bucket?: (typeof trendBuckets)[number] | undefined;
  readonly by?: readonly (typeof trendGroups)[number][] | undefined;
}
/** `tail`: the last so many lines instead of reading on; `waitSeconds`: how long it may take until there is more. */
export type LogQuery = Partial<Record<'after' | 'limit' | 'tail' | 'waitSeconds', number>> & {
  readonly check?: string;
};
export interface Page<T> {
  readonly items: T[];
  readonly nextCursor: string | null;
}
/** The same key again answers what the first call answered. One is made up for each call when none is given. */
export interface Creation {
  readonly idempotencyKey?: string | null | undefined;
}

const anything = z.unknown();
const assignments = z.union([z.array(assignmentView), pageOf(assignmentView).transform((page) => page.items)]);
/** Read on with `after: position` while there is more. */
const eventPage = z.object({ items: z.array(cloudEvent), position: z.number(), more: z.boolean() });
const trendQuery = ({ by, ...query }: TrendQuery & { check?: string | undefined }) => ({ ...query, by: by?.join(',') });
const part = encodeURIComponent;

/** Muster's REST API, typed; every answer is checked against the contracts before it is handed out. */
export class MusterClient {
  readonly #http: Http;
  /** Contents that inputs and outputs refer to; `tasks.create`, `tasks.output` and agents use them by themselves. */
  readonly blobs: BlobClient;

  constructor(options: HttpOptions) {
    this.#http = new Http(options);
    this.blobs = new BlobClient(this.#http);
  }

  get url(): string {
    return this.#http.url;
  }

  /** Logs in and uses the session from now on, renewing it when it runs out. */
  login(credentials: Credentials): Promise<{ accessToken: string; refreshToken: string }> {
    return this.#http.login(credentials);
  }
  whoAmI(): Promise<z.infer<typeof whoAmI>> {
    return this.#http.call({ method: 'GET', path: '/api/auth/me', answer: whoAmI });
  }
  /** Whether the server is ready to serve. Never throws. */
  async isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(2_000) })).ok;
    } catch {
      return false;
    }
  }

  readonly keys = {
    create: (key: z.input<typeof createApiKey>, creation: Creation = {}): Promise<z.infer<typeof apiKeyCreated>> =>
      this.#http.call({ method: 'POST', path: '/api/keys', body: key, answer: apiKeyCreated, ...creation }),
    list: (query: Paging = {}): Promise<Page<z.infer<typeof apiKeyView>>> =>
      this.#http.call({ method: 'GET', path: '/api/keys', query: { ...query }, answer: pageOf(apiKeyView) }),
    revoke: async (keyId: string): Promise<void> => {
      await this.#http.call({ method: 'DELETE', path: `/api/keys/${part(keyId)}`, answer: anything });
    },
  };

  readonly projects = {
    create: (project: z.input<typeof createProject>, creation: Creation = {}): Promise<ProjectView> =>
      this.#http.call({
        method: 'POST',
        path: '/api/projects',
        body: project,
        answer: projectView,
        timeoutMs: 600_000,
        ...creation,
      }),
    /** From a tar or tar.gz archive of its files. */
    importArchive: (
      project: { name: string; slug?: string; branch?: string },
      archive: Uint8Array<ArrayBuffer>,
      creation: Creation = {},
    ): Promise<ProjectView> =>
      this.#http.call({
        method: 'POST',
        path: '/api/projects/import',
        query: project,
        raw: {
          bytes: archive,
          contentType: archive[0] === 0x1f && archive[1] === 0x8b ? 'application/gzip' : 'application/x-tar',
        },
        answer: projectView,
        timeoutMs: 600_000,
        ...creation,
      }),
    list: (query: Paging = {}): Promise<Page<ProjectView>> =>
      this.#http.call({ method: 'GET', path: '/api/projects', query: { ...query }, answer: pageOf(projectView) }),
    get: (projectId: string): Promise<z.infer<typeof projectDetail>> =>
      this.#http.call({ method: 'GET', path: `/api/projects/${part(projectId)}`, answer: projectDetail }),
    delete: async (projectId: string): Promise<void> => {
      await this.#http.call({ method: 'DELETE', path: `/api/projects/${part(projectId)}`, answer: anything });
    },
    assign: (projectId: string, assignment: z.input<typeof assignAgent>): Promise<z.infer<typeof assignmentView>> =>
      this.#http.call({
        method: 'POST',
        path: `/api/projects/${part(projectId)}/agents`,
        body: assignment,
        answer: assignmentView,
      }),
    assignments: (projectId: string): Promise<z.infer<typeof assignmentView>[]> =>
      this.#http.call({ method: 'GET', path: `/api/projects/${part(projectId)}/agents`, answer: assignments }),
    unassign: async (projectId: string, agent: string): Promise<void> => {
      await this.#http.call({
        method: 'DELETE',
        path: `/api/projects/${part(projectId)}/agents/${part(agent)}`,
        answer: anything,
      });
    },
    /** A large input goes the way of that of a task. */
    execute: async (
      projectId: string,
      capability: string,
      request: z.input<typeof executeCapability> = {},
      creation: Creation = {},
    ): Promise<TaskView> =>
      this.#http.call({
        method: 'POST',
        path: `/api/projects/${part(projectId)}/capabilities/${part(capability)}/execute`,
        body: { ...request, input: await this.blobs.forInput(projectId, request.input) },
        answer: taskView,
        timeoutMs: 90_000,
        ...creation,
      }),
    operations: (
      projectId: string,
      query: Paging & { state?: TaskState | undefined } = {},
    ): Promise<Page<z.infer<typeof operation>>> =>
      this.#http.call({
        method: 'GET',
        path: `/api/projects/${part(projectId)}/operations`,
        query: { ...query },
        answer: pageOf(operation),
      }),
  };

  readonly agents = {
    register: (
      definition: z.input<typeof registerAgent>,
      creation: Creation = {},
    ): Promise<z.infer<typeof agentVersionView>> =>
      this.#http.call({ method: 'POST', path: '/api/agents', body: definition, answer: agentVersionView, ...creation }),
    list: (query: Paging = {}): Promise<Page<z.infer<typeof agentView>>> =>
      this.#http.call({ method: 'GET', path: '/api/agents', query: { ...query }, answer: pageOf(agentView) }),
    get: (name: string): Promise<z.infer<typeof agentView>> =>
      this.#http.call({ method: 'GET', path: `/api/agents/${part(name)}`, answer: agentView }),
    versions: (name: string, query: Paging = {}): Promise<Page<z.infer<typeof agentVersionView>>> =>
      this.#http.call({
        method: 'GET',
        path: `/api/agents/${part(name)}/versions`,
        query: { ...query },
        answer: pageOf(agentVersionView),
      }),
    publish: (name: string, version: string): Promise<z.infer<typeof agentVersionView>> =>
      this.#http.call({
        method: 'POST',
        path: `/api/agents/${part(name)}/versions/${part(version)}/publish`,
        answer: agentVersionView,
      }),
    deprecate: (name: string, version: string): Promise<z.infer<typeof agentVersionView>> =>
      this.#http.call({
        method: 'POST',
        path: `/api/agents/${part(name)}/versions/${part(version)}/deprecate`,
        answer: agentVersionView,
      }),
  };

  readonly instances = {
    list: (
      query: Paging & { state?: InstanceView['state'] | undefined; agent?: string | undefined } = {},
    ): Promise<Page<InstanceView>> =>
      this.#http.call({ method: 'GET', path: '/api/instances', query: { ...query }, answer: pageOf(instanceView) }),
    get: (instanceId: string): Promise<InstanceView> =>
      this.#http.call({ method: 'GET', path: `/api/instances/${part(instanceId)}`, answer: instanceView }),
    pause: (instanceId: string, reason?: string): Promise<InstanceView> => this.#wish(instanceId, 'pause', reason),
    resume: (instanceId: string, reason?: string): Promise<InstanceView> => this.#wish(instanceId, 'resume', reason),
    /** It finishes what it holds and says goodbye. */
    drain: (instanceId: string, reason?: string): Promise<InstanceView> => this.#wish(instanceId, 'drain', reason),
    /** It hands back what it holds and says goodbye; a process that the server runs is ended. */
    stop: (instanceId: string, reason?: string): Promise<InstanceView> => this.#wish(instanceId, 'stop', reason),
    /** Starts the process of a supervised instance again. */
    start: (instanceId: string): Promise<InstanceView> =>
      this.#http.call({
        method: 'POST',
        path: `/api/instances/${part(instanceId)}/start`,
        body: {},
        answer: instanceView,
      }),
    /** Has the server run a new instance on its own machine. */
    startSupervised: (wish: z.input<typeof startSupervised>, creation: Creation = {}): Promise<SupervisedView> =>
      this.#http.call({
        method: 'POST',
        path: '/api/runtime/instances/start',
        body: wish,
        answer: supervisedView,
        ...creation,
      }),
    process: (instanceId: string): Promise<SupervisedView> =>
      this.#http.call({ method: 'GET', path: `/api/runtime/instances/${part(instanceId)}`, answer: supervisedView }),
    log: (instanceId: string, query: { lines?: number | undefined } = {}): Promise<ProcessLog> =>
      this.#http.call({
        method: 'GET',
        path: `/api/runtime/instances/${part(instanceId)}/log`,
        query: { ...query },
        answer: processLog,
      }),
  };

  /** Whether tasks are given out at all, of a team or of the whole server. */
  readonly runtime = {
    status: (): Promise<RuntimeStatus> =>
      this.#http.call({ method: 'GET', path: '/api/runtime/status', answer: runtimeStatus }),
    stop: (q: { scope?: 'team' | 'server'; reason?: string } = {}): Promise<RuntimeStatus> =>
      this.#http.call({ method: 'POST', path: '/api/runtime/stop', body: q, answer: runtimeStatus }),
    start: (q: { scope?: 'team' | 'server' } = {}): Promise<RuntimeStatus> =>
      this.#http.call({ method: 'POST', path: '/api/runtime/start', body: q, answer: runtimeStatus }),
  };

  /** How many tasks may run at once or begin in a while, by project, capability and agent. */
  readonly limits = {
    list: async (query: { projectId?: string | undefined } = {}): Promise<LimitView[]> =>
      (
        await this.#http.call({
          method: 'GET',
          path: '/api/limits',
          query: { ...query },
          answer: z.object({ items: z.array(limitView) }),
        })
      ).items,
    /** Again for the same project, capability and agent: replaces what was. */
    set: (limit: z.input<typeof setLimit>): Promise<LimitView> =>
      this.#http.call({ method: 'PUT', path: '/api/limits', body: limit, answer: limitView }),
    remove: async (limitId: string): Promise<void> => {
      await this.#http.call({ method: 'DELETE', path: `/api/limits/${part(limitId)}`, answer: anything });
    },
  };

  #wish(instanceId: string, verb: 'pause' | 'resume' | 'drain' | 'stop', reason?: string): Promise<InstanceView> {
    return this.#http.call({
      method: 'POST',
      path: `/api/instances/${part(instanceId)}/${verb}`,
      body: reason === undefined ? {} : { reason },
      answer: instanceView,
    });
  }

  readonly tasks = {
    /** A large input is stored by its content first, and referred to. */
    create: async (task: CreateTask, creation: Creation = {}): Promise<TaskView> =>
      this.#http.call({
        method: 'POST',
        path: '/api/tasks',
        body: { ...task, input: await this.blobs.forInput(task.projectId, task.input) },
        answer: taskView,
        ...creation,
      }),
    /** What it answered, also where that is large; null while there is nothing. */
    output: (task: Pick<TaskView, 'projectId' | 'output'>): Promise<JsonValue> =>
      this.blobs.valueOf(task.projectId, task.output),
    /** Up to 1,000 of one capability; each is made or refused by itself, and may depend on earlier ones by their place. */
    createMany: async (request: z.input<typeof createTasks>): Promise<z.infer<typeof createdTasks>> => {
      const tasks = [];
      // One after another: what is large would otherwise be on its way a thousand times at once.
      for (const task of request.tasks)
        tasks.push({ ...task, input: await this.blobs.forInput(request.projectId, task.input) });
      return this.#http.call({
        method: 'POST',
        path: '/api/tasks/bulk',
        body: { ...request, tasks },
        answer: createdTasks,
      });
    },
    list: (
      query: Paging & {
        projectId?: string | undefined;
        state?: TaskState | undefined;
        capability?: string | undefined;
        parentId?: string | undefined;
        agent?: string | undefined;
        priority?: Priority | undefined;
        createdAfter?: string | undefined;
        createdBefore?: string | undefined;
      } = {},
    ): Promise<Page<TaskView>> =>
      this.#http.call({ method: 'GET', path: '/api/tasks', query: { ...query }, answer: pageOf(taskView) }),
    get: (taskId: string): Promise<TaskDetail> =>
      this.#http.call({ method: 'GET', path: `/api/tasks/${part(taskId)}`, answer: taskDetail }),
    /** Everything that is known of it; of its events a page. */
    history: (taskId: string, query: Paging = {}): Promise<TaskHistory> =>
      this.#http.call({
        method: 'GET',
        path: `/api/tasks/${part(taskId)}/history`,
        query: { ...query },
        answer: taskHistory,
      }),
    /** For a task that waits for a person: they say that it may go on. */
    retry: (taskId: string): Promise<TaskView> =>
      this.#http.call({ method: 'POST', path: `/api/tasks/${part(taskId)}/retry`, body: {}, answer: taskView }),
    /** @param scope with `tree`, everything below it as well */
    cancel: (taskId: string, reason: string, scope: { readonly tree?: boolean } = {}): Promise<TaskCancelled> =>
      this.#http.call({
        method: 'POST',
        path: `/api/tasks/${part(taskId)}/cancel`,
        body: { reason, ...scope },
        answer: taskCancelled,
      }),
    /** What keeps it from being worked on, and what would change that. */
    explain: (taskId: string): Promise<TaskExplanation> =>
      this.#http.call({ method: 'GET', path: `/api/tasks/${part(taskId)}/explain`, answer: taskExplanation }),
  };

  readonly submissions = {
    create: (
      submission: CreateSubmission,
      creation: Creation & { signal?: AbortSignal | undefined } = {},
    ): Promise<SubmissionView> =>
      this.#http.call({
        method: 'POST',
        path: '/api/submissions',
        body: submission,
        answer: submissionView,
        ...creation,
      }),
    list: (
      query: Paging & { projectId?: string | undefined; taskId?: string | undefined } = {},
    ): Promise<Page<SubmissionView>> =>
      this.#http.call({ method: 'GET', path: '/api/submissions', query: { ...query }, answer: pageOf(submissionView) }),
    get: (submissionId: string): Promise<SubmissionView> =>
      this.#http.call({ method: 'GET', path: `/api/submissions/${part(submissionId)}`, answer: submissionView }),
    /** A person's word on exactly this content; needs a person's token. */
    /** A person lets an accepted change land, where the project asks for one. */
    release: (submissionId: string): Promise<SubmissionView> =>
      this.#http.call({
        method: 'POST',
        path: `/api/submissions/${part(submissionId)}/release`,
        body: {},
        answer: submissionView,
      }),
    review: (submissionId: string, review: ReviewSubmission): Promise<ReviewView> =>
      this.#http.call({
        method: 'POST',
        path: `/api/submissions/${part(submissionId)}/reviews`,
        body: review,
        answer: reviewView,
      }),
    reviews: (submissionId: string): Promise<ReviewView[]> =>
      this.#http.call({
        method: 'GET',
        path: `/api/submissions/${part(submissionId)}/reviews`,
        answer: z.array(reviewView),
      }),
  };

  readonly verifications = {
    /** Verifies the head of the project's branch as it stands, changes aside. */
    request: (projectId: string, creation: Creation = {}): Promise<VerificationView> =>
      this.#http.call({
        method: 'POST',
        path: `/api/projects/${part(projectId)}/verifications`,
        body: {},
        answer: verificationView,
        ...creation,
      }),
    list: (projectId: string, query: Paging = {}): Promise<Page<VerificationView>> =>
      this.#http.call({
        method: 'GET',
        path: `/api/projects/${part(projectId)}/verifications`,
        query: { ...query },
        answer: pageOf(verificationView),
      }),
    get: (verificationId: string): Promise<VerificationView> =>
      this.#http.call({ method: 'GET', path: `/api/verifications/${part(verificationId)}`, answer: verificationView }),
    sarif: (verificationId: string): Promise<unknown> =>
      this.#http.call({ method: 'GET', path: `/api/verifications/${part(verificationId)}/sarif`, answer: anything }),
    /** How score and verdict came about, how to win points back, and what changed since the try before. */
    explain: (verificationId: string): Promise<VerificationExplanation> =>
      this.#http.call({
        method: 'GET',
        path: `/api/verifications/${part(verificationId)}/explain`,
        answer: verificationExplanation,
      }),
    /** Looks anew at what could not be run or could not tell, or at the checks that are named; otherwise what was seen stands. */
    rerun: (verificationId: string, wish: RerunVerification = {}, creation: Creation = {}): Promise<RerunAnswer> =>
      this.#http.call({
        method: 'POST',
        path: `/api/verifications/${part(verificationId)}/rerun`,
        body: wish,
        answer: rerunAnswer,
        ...creation,
      }),
    /** Where each check is, while it runs and afterwards. */
    checks: (verificationId: string): Promise<z.infer<typeof verificationChecks>> =>
      this.#http.call({
        method: 'GET',
        path: `/api/verifications/${part(verificationId)}/checks`,
        answer: verificationChecks,
      }),
    /** Some of what checks printed. `followLog` reads on by itself. */
    log: (verificationId: string, query: LogQuery = {}): Promise<VerificationLog> =>
      this.#http.call({
        method: 'GET',
        path: `/api/verifications/${part(verificationId)}/logs`,
        query: { ...query },
        answer: verificationLog,
      }),
    /** What checks print, as they print it, from the beginning on or from `after`, until the verification has finished or the signal aborts. */
    followLog: (
      verificationId: string,
      following: LogFollowing = {},
    ): AsyncGenerator<VerificationLog['items'][number], void, void> =>
      followLog(
        this.url,
        (renew) => this.#http.token(renew),
        verificationId,
        following,
        (after) =>
          this.#http.call({
            method: 'GET',
            path: `/api/verifications/${part(verificationId)}/logs`,
            query: { check: following.check, after, waitSeconds: 15 },
            answer: verificationLog,
            signal: following.signal,
          }),
      ),
    artefacts: async (verificationId: string): Promise<VerificationArtefact[]> =>
      (
        await this.#http.call({
          method: 'GET',
          path: `/api/verifications/${part(verificationId)}/artefacts`,
          answer: z.object({ items: z.array(verificationArtefact) }),
        })
      ).items,
    /** The text of one: results of tests, coverage, findings as SARIF. */
    artefact: (verificationId: string, name: string): Promise<string> =>
      this.#http.call({
        method: 'GET',
        path: `/api/verifications/${part(verificationId)}/artefacts/${part(name)}`,
        text: true,
        answer: z.string(),
      }),
  };

  readonly quality = {
    /** How verifications went over time; `by` tells projects, agents and versions apart. */
    trends: (query: TrendQuery = {}): Promise<VerificationTrend> =>
      this.#http.call({
        method: 'GET',
        path: '/api/quality/trends',
        query: trendQuery(query),
        answer: verificationTrend,
      }),
    /** What each check saw over time, with the means of what it measures. */
    checks: (query: TrendQuery & { check?: string | undefined } = {}): Promise<CheckTrend> =>
      this.#http.call({ method: 'GET', path: '/api/quality/checks', query: trendQuery(query), answer: checkTrend }),
    /** What a project insists on, whose work stays below it, and what waits because of it. */
    enforcer: (projectId: string): Promise<EnforcerView> =>
      this.#http.call({ method: 'GET', path: `/api/projects/${part(projectId)}/enforcer`, answer: enforcerView }),
  };

  readonly landings = {
    list: (query: Paging & { projectId?: string | undefined } = {}): Promise<Page<LandingView>> =>
      this.#http.call({ method: 'GET', path: '/api/landings', query: { ...query }, answer: pageOf(landingView) }),
    get: (landingId: string): Promise<LandingView> =>
      this.#http.call({ method: 'GET', path: `/api/landings/${part(landingId)}`, answer: landingView }),
    /** Takes a landing back by a revert that goes through the same gate and queue; answers that revert's submission. */
    rollBack: (landingId: string, reason: string, creation: Creation = {}): Promise<SubmissionView> =>
      this.#http.call({
        method: 'POST',
        path: `/api/landings/${part(landingId)}/rollback`,
        body: { reason },
        answer: submissionView,
        ...creation,
      }),
  };

  readonly sets = {
    /** Links tasks or submissions of several projects: all of it lands, or none. */
    create: (set: CreateSet, creation: Creation = {}): Promise<SetView> =>
      this.#http.call({ method: 'POST', path: '/api/sets', body: set, answer: setView, ...creation }),
    list: (
      query: Paging & { projectId?: string | undefined; state?: SetView['state'] | undefined } = {},
    ): Promise<Page<SetView>> =>
      this.#http.call({ method: 'GET', path: '/api/sets', query: { ...query }, answer: pageOf(setView) }),
    get: (setId: string): Promise<SetView> =>
      this.#http.call({ method: 'GET', path: `/api/sets/${part(setId)}`, answer: setView }),
    /** Takes all of it back, or nothing; answers the set of the reverts. */
    rollBack: (setId: string, reason: string, creation: Creation = {}): Promise<SetView> =>
      this.#http.call({
        method: 'POST',
        path: `/api/sets/${part(setId)}/rollback`,
        body: { reason },
        answer: setView,
        ...creation,
      }),
  };

  /** Re-checks every commit of the project's branch against its evidence. @param tell the stream, too, what was found */
  audit(projectId: string, { tell = false }: { readonly tell?: boolean } = {}): Promise<AuditReport> {
    return this.#http.call({
      method: tell ? 'POST' : 'GET',
      path: `/api/projects/${part(projectId)}/audit`,
      answer: auditReport,
      timeoutMs: 600_000,
    });
  }

  /** The repositories elsewhere that a project keeps in step with. */
  readonly remotes = {
    list: (projectId: string): Promise<{ items: RemoteView[] }> =>
      this.#http.call({
        method: 'GET',
        path: `/api/projects/${part(projectId)}/remotes`,
        answer: z.object({ items: z.array(remoteView) }),
      }),
    set: (
      projectId: string,
      direction: RemoteView['direction'],
      remote: z.input<typeof setRemote>,
    ): Promise<RemoteView> =>
      this.#http.call({
        method: 'PUT',
        path: `/api/projects/${part(projectId)}/remotes/${direction}`,
        body: remote,
        answer: remoteView,
      }),
    /** Looks now; waits for as long as the remote takes. */
    sync: (projectId: string, direction: RemoteView['direction']): Promise<RemoteView> =>
      this.#http.call({
        method: 'POST',
        path: `/api/projects/${part(projectId)}/remotes/${direction}/sync`,
        answer: remoteView,
        timeoutMs: 1_800_000,
      }),
    remove: async (projectId: string, direction: RemoteView['direction']): Promise<void> => {
      await this.#http.call({
        method: 'DELETE',
        path: `/api/projects/${part(projectId)}/remotes/${direction}`,
        answer: anything,
      });
    },
  };

  /** Where a project lives on GitHub or GitLab. */
  readonly forge = {
    get: (projectId: string): Promise<ForgeView> =>
      this.#http.call({ method: 'GET', path: `/api/projects/${part(projectId)}/forge`, answer: forgeView }),
    set: (projectId: string, forge: z.input<typeof setForge>): Promise<ForgeView> =>
      this.#http.call({
        method: 'PUT',
        path: `/api/projects/${part(projectId)}/forge`,
        body: forge,
        answer: forgeView,
      }),
    remove: async (projectId: string): Promise<void> => {
      await this.#http.call({ method: 'DELETE', path: `/api/projects/${part(projectId)}/forge`, answer: anything });
    },
    /** A new secret for webhooks, shown this once. The one before it ends. */
    renewSecret: (projectId: string): Promise<ForgeSecret> =>
      this.#http.call({ method: 'POST', path: `/api/projects/${part(projectId)}/forge/secret`, answer: forgeSecret }),
    webhooks: (projectId: string, query: Paging = {}): Promise<Page<WebhookView>> =>
      this.#http.call({
        method: 'GET',
        path: `/api/projects/${part(projectId)}/forge/webhooks`,
        query: { ...query },
        answer: pageOf(webhookView),
      }),
    /** Pull and merge requests there, the newest first, and what became of each here. */
    requests: (
      projectId: string,
      query: Paging & { state?: ForgeRequest['state'] | undefined } = {},
    ): Promise<Page<ForgeRequest>> =>
      this.#http.call({
        method: 'GET',
        path: `/api/projects/${part(projectId)}/forge/requests`,
        query: { ...query },
        answer: pageOf(forgeRequest),
      }),
    /** Looks at one now, also when it was given up. */
    look: (projectId: string, requestId: string): Promise<ForgeRequest> =>
      this.#http.call({
        method: 'POST',
        path: `/api/projects/${part(projectId)}/forge/requests/${part(requestId)}/look`,
        answer: forgeRequest,
      }),
  };

  readonly incidents = {
    list: (
      query: Paging & { projectId?: string | undefined; state?: Incident['state'] | undefined } = {},
    ): Promise<Page<Incident>> =>
      this.#http.call({ method: 'GET', path: '/api/incidents', query: { ...query }, answer: pageOf(incident) }),
    get: (incidentId: string): Promise<Incident> =>
      this.#http.call({ method: 'GET', path: `/api/incidents/${part(incidentId)}`, answer: incident }),
    /** Takes a set or a range of landings back, the newest first. */
    open: (projectId: string, wish: OpenIncident, creation: Creation = {}): Promise<Incident> =>
      this.#http.call({
        method: 'POST',
        path: `/api/projects/${part(projectId)}/incidents`,
        body: wish,
        answer: incident,
        ...creation,
      }),
  };

  readonly provenance = {
    /** The public keys that landings are signed with. */
    keys: (): Promise<ProvenanceKeys> =>
      this.#http.call({ method: 'GET', path: '/api/provenance/keys', answer: provenanceKeys }),
    /** From now on another key signs. */
    rotate: (): Promise<ProvenanceKey> =>
      this.#http.call({ method: 'POST', path: '/api/provenance/keys', answer: provenanceKey }),
    /** What `verify-provenance` needs besides a clone. */
    trust: (projectId: string): Promise<TrustPolicy> =>
      this.#http.call({ method: 'GET', path: `/api/projects/${part(projectId)}/trust`, answer: trustPolicy }),
  };

  readonly doctor = {
    /** Checks every promise about what is stored against one snapshot; reads whole tables, so not for every minute. */
    invariants: (): Promise<InvariantReport> =>
      this.#http.call({
        method: 'GET',
        path: '/api/doctor/invariants',
        answer: invariantReport,
        timeoutMs: 600_000,
      }),
  };

  readonly events = {
    publish: (event: z.input<typeof publishEvent>, creation: Creation = {}): Promise<unknown> =>
      this.#http.call({ method: 'POST', path: '/api/events/publish', body: event, answer: anything, ...creation }),
    list: (
      query: {
        projectId?: string | undefined;
        type?: string | undefined;
        after?: number | undefined;
        limit?: number | undefined;
      } = {},
    ): Promise<z.infer<typeof eventPage>> =>
      this.#http.call({ method: 'GET', path: '/api/events', query: { ...query }, answer: eventPage }),
    /** Events in order, from `after` on or from now on, across restarts of the server; ends when the signal aborts. */
    subscribe: (subscription: Subscription = {}): AsyncGenerator<CloudEvent, void, void> =>
      subscribe(this.url, (renew) => this.#http.token(renew), subscription),
  };
}

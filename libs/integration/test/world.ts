import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Global, Injectable, Module } from '@nestjs/common';
import {
  CommandBus,
  CommandHandler,
  CqrsModule,
  type ICommandHandler,
  type IQueryHandler,
  QueryBus,
  QueryHandler,
} from '@nestjs/cqrs';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  type Approver,
  type ReviewSubmission as Said,
  type EnforcerPolicy,
  type LandingPolicy,
  projectPolicy,
  type ProjectPolicy,
  type ReviewPolicy,
  type SubmissionView,
  type TaskView,
  type VerificationView,
} from '@muster/contracts';
import { FindPeopleBehind, type PersonBehind } from '#messages/auth';
import { ReceivePush, ReceiveSubmission, RollBackLanding } from '#messages/integration';
import { FindProject, type ProjectRecord, ReadPolicy } from '#messages/projects';
import { FindVerification, RequestVerification, type VerificationRequest } from '#messages/quality';
import {
  CancelTask,
  FindOfferedCapabilities,
  FindTask,
  type HeldAttempt,
  LeaseGuard,
  SettleSubmittedTask,
  StartTask,
} from '#messages/runtime';
import { MusterError, SystemIds, type Tx } from '#kernel';
import { BlobsModule } from '#platform/blobs';
import { ConfigModule, loadConfig } from '#platform/config';
import { Database } from '#platform/database';
import { EventLogModule } from '#platform/eventlog';
import { Git, GitModule, NOTHING, Repositories } from '#platform/git';
import { HttpModule } from '#platform/http';
import { testDatabase } from '#test/database';
import { AdvanceIncident } from '../src/commands/advance-incident.ts';
import { AdvanceLanding } from '../src/commands/advance-landing.ts';
import { AdvanceSubmission } from '../src/commands/advance-submission.ts';
import { LandSubmission } from '../src/commands/land-submission.ts';
import { ReviewSubmission } from '../src/commands/review-submission.ts';
import { landingColumns, type LandingRow } from '../src/domain/landing.ts';
import { submissionColumns, type SubmissionRow } from '../src/domain/submission.ts';
import { IntegrationModule } from '../src/index.ts';
import { AuditProject } from '../src/queries/audit-project.ts';
import { Sweep } from '../src/sweep.ts';

const ids = new SystemIds();

/** The stand-in's fences are rows, so that two transactions wait for each other as they do in the runtime room. */
export const LEASES = 'create table leases (task_id text primary key, fence bigint not null)';

/**
 * The rooms around this one, as far as it asks them: they answer from memory what the real ones answer from their tables.
 * Git, PostgreSQL and everything of this room are real.
 */
@Injectable()
export class Neighbours extends LeaseGuard {
  readonly projects = new Map<string, ProjectRecord>();
  readonly tasks = new Map<string, TaskView>();
  readonly verifications = new Map<string, VerificationView>();
  readonly requests: VerificationRequest[] = [];
  readonly settled: SettleSubmittedTask[] = [];
  readonly started: StartTask[] = [];
  postLanding: string | undefined;
  landing: Partial<LandingPolicy> = {};
  review: Partial<ReviewPolicy> = {};
  enforcer: Partial<EnforcerPolicy> = {};
  generated: ProjectPolicy['generated'] = [];
  /** What the verifiers that are connected offer. */
  offered: readonly string[] = ['muster.verify', 'muster.resolve'];
  /** Whom the ids of users and keys stand for. */
  readonly people = new Map<string, PersonBehind>();
  /** Under which rules evidence is asked for now; part of what makes two questions equal. */
  rules = 'the rules';
  readonly askedUnder = new Map<string, string>();
  readonly cancelled: string[] = [];
  /** The actor that every attempt belongs to. */
  holder = 'key_author';

  override async hold(tx: Tx, taskId: string, fence: number): Promise<HeldAttempt> {
    const [row] = await tx.sql(`select from leases where task_id = $1 and fence = $2 for update`, [taskId, fence]);
    if (row === undefined) throw new MusterError('runtime.stale_lease', 409, 'This lease is not yours any more. Stop.');
    const attempt = {
      attemptId: ids.next('attempt'),
      attempt: 1,
      instanceId: null,
      agent: 'author',
      agentVersion: '1.2.0',
      holderId: this.holder,
    };
    const { teamId, projectId, capability } = this.task(taskId);
    return { taskId, fence, teamId, projectId, capability, ...attempt };
  }

  override async submitted(tx: Tx, held: HeldAttempt): Promise<void> {
    await tx.sql(`delete from leases where task_id = $1`, [held.taskId]);
  }

  task(taskId: string): TaskView {
    const found = this.tasks.get(taskId);
    if (found === undefined) throw new Error(`no task ${taskId}`);
    return found;
  }

  newTask(project: ProjectRecord, more: Partial<TaskView> = {}): TaskView {
    const now = new Date().toISOString();
    const task: TaskView = {
      id: ids.next('task'), teamId: project.teamId, projectId: project.id, capability: 'code.change', title: 'Say hello',
      state: 'running', wait: null, priority: 'normal', input: { greet: 'world' }, output: null, error: null, attempt: 1, reworks: 0,
      submissionId: null, parentId: null, reopens: null, costUsd: 0, createdAt: now, updatedAt: now, finishedAt: null, ...more,
    }; // prettier-ignore
    this.tasks.set(task.id, task);
    return task;
  }
}

@CommandHandler(RequestVerification)
class AnswerRequest implements ICommandHandler<RequestVerification> {
  constructor(private readonly neighbours: Neighbours) {}
  execute({ request }: RequestVerification): Promise<VerificationView> {
    this.neighbours.requests.push(request);
    const equal = [...this.neighbours.verifications.values()].find(
      (v) =>
        v.projectId === request.projectId &&
        v.candidateTree === request.candidateTree &&
        v.baseTree === request.baseTree &&
        v.approvedBy === request.approvedBy &&
        this.neighbours.askedUnder.get(v.id) === this.neighbours.rules &&
        v.evidence !== false &&
        (v.purpose === 'post_landing') === (request.purpose === 'post_landing'),
    );
    if (equal !== undefined) return Promise.resolve(equal);
    const { projectId, purpose, subjectId, candidateTree, baseTree, approvedBy } = request;
    const view: VerificationView = {
      id: ids.next('verification'), projectId, purpose, subjectId, candidateTree, baseTree, approvedBy, state: 'running', verdict: null, evidence: null, score: null,
      threshold: 85, required: [], reasons: [], lost: [], breaches: [], firstLook: null, facts: null, taskId: ids.next('task'), createdAt: new Date().toISOString(), finishedAt: null,
    }; // prettier-ignore
    this.neighbours.verifications.set(view.id, view);
    this.neighbours.askedUnder.set(view.id, this.neighbours.rules);
    return Promise.resolve(view);
  }
}
@QueryHandler(FindVerification)
class AnswerVerification implements IQueryHandler<FindVerification> {
  constructor(private readonly neighbours: Neighbours) {}
  execute({ verificationId }: FindVerification): Promise<VerificationView | null> {
    return Promise.resolve(this.neighbours.verifications.get(verificationId) ?? null);
  }
}
@QueryHandler(FindProject)
class AnswerProject implements IQueryHandler<FindProject> {
  constructor(private readonly neighbours: Neighbours) {}
  execute({ projectId }: FindProject): Promise<ProjectRecord | null> {
    return Promise.resolve(this.neighbours.projects.get(projectId) ?? null);
  }
}
@QueryHandler(ReadPolicy)
class AnswerPolicy implements IQueryHandler<ReadPolicy> {
  constructor(private readonly neighbours: Neighbours) {}
  execute(): Promise<{ policy: ProjectPolicy; source: 'muster.yaml'; problem: null }> {
    const { postLanding, landing, review, enforcer, generated } = this.neighbours;
    return Promise.resolve({
      policy: projectPolicy.parse({ postLanding, landing, review, enforcer, generated }),
      source: 'muster.yaml' as const,
      problem: null,
    });
  }
}
@QueryHandler(FindPeopleBehind)
class AnswerPeople implements IQueryHandler<FindPeopleBehind> {
  constructor(private readonly neighbours: Neighbours) {}
  execute({ actorIds }: FindPeopleBehind): Promise<ReadonlyMap<string, PersonBehind>> {
    const { people } = this.neighbours;
    return Promise.resolve(new Map([...people].filter(([id]) => actorIds.includes(id))));
  }
}
@QueryHandler(FindTask)
class AnswerTask implements IQueryHandler<FindTask> {
  constructor(private readonly neighbours: Neighbours) {}
  execute({ taskId }: FindTask): Promise<TaskView | null> {
    return Promise.resolve(this.neighbours.tasks.get(taskId) ?? null);
  }
}
@QueryHandler(FindOfferedCapabilities)
class AnswerOffered implements IQueryHandler<FindOfferedCapabilities> {
  constructor(private readonly neighbours: Neighbours) {}
  execute(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set(this.neighbours.offered));
  }
}
@CommandHandler(StartTask)
class AnswerStart implements ICommandHandler<StartTask> {
  private readonly byKey = new Map<string, TaskView>();
  constructor(private readonly neighbours: Neighbours) {}
  execute(command: StartTask): Promise<TaskView> {
    const { task } = command;
    const key = task.idempotencyKey ?? ids.next('task');
    const project = this.neighbours.projects.get(task.projectId);
    if (project === undefined) throw new Error('no such project');
    const made =
      this.byKey.get(key) ??
      this.neighbours.newTask(project, {
        state: 'queued',
        capability: task.capability,
        title: task.title ?? null,
        input: task.input ?? {},
        reopens: task.reopens ?? null,
      });
    if (!this.byKey.has(key)) this.neighbours.started.push(command);
    this.byKey.set(key, made);
    return Promise.resolve(made);
  }
}
/** A verification that nobody waits for any more ends without evidence. */
@CommandHandler(CancelTask)
class AnswerCancel implements ICommandHandler<CancelTask> {
  constructor(private readonly neighbours: Neighbours) {}
  execute({ taskId }: CancelTask): Promise<TaskView> {
    this.neighbours.cancelled.push(taskId);
    const asked = [...this.neighbours.verifications.values()].find((view) => view.taskId === taskId);
    if (asked === undefined) {
      const task: TaskView = { ...this.neighbours.task(taskId), state: 'cancelled' };
      this.neighbours.tasks.set(taskId, task);
      return Promise.resolve(task);
    }
    this.neighbours.verifications.delete(asked.id);
    return Promise.resolve({ ...(asked as unknown as TaskView), id: taskId });
  }
}
@CommandHandler(SettleSubmittedTask)
class AnswerSettle implements ICommandHandler<SettleSubmittedTask> {
  constructor(private readonly neighbours: Neighbours) {}
  execute(command: SettleSubmittedTask): Promise<void> {
    this.neighbours.settled.push(command);
    const { taskId, outcome } = command;
    const task = this.neighbours.task(taskId);
    if (task.state !== 'cancelled' && outcome.kind !== 'waiting_landing') {
      const state = outcome.kind === 'landed' ? 'succeeded' : outcome.kind === 'rework' ? 'queued' : 'waiting';
      this.neighbours.tasks.set(taskId, { ...task, state });
    }
    return Promise.resolve();
  }
}

@Global()
@Module({
  providers: [
    Neighbours,
    { provide: LeaseGuard, useExisting: Neighbours },
    ...[
      AnswerRequest,
      AnswerVerification,
      AnswerProject,
      AnswerPolicy,
      AnswerPeople,
      AnswerTask,
      AnswerOffered,
      AnswerStart,
      AnswerCancel,
      AnswerSettle,
    ],
  ],
  exports: [Neighbours, LeaseGuard],
})
export class NeighboursModule {}

export const FILES = {
  'greet.js': 'export const greet = () => "hello";\n',
  'other.js': 'export const other = 1;\nexport const third = 2;\n',
};

/** A project whose branch starts with one imported commit. */
export async function newProject(
  repositories: Repositories,
  neighbours: Neighbours,
  files: Record<string, string> = FILES,
): Promise<ProjectRecord> {
  const id = ids.next('project');
  const person = { name: 'Someone', email: 'someone@example.org' };
  const at = { author: person, committer: person, date: new Date('2026-01-01T00:00:00Z') };
  await repositories.create(id, 'main');
  const empty = await repositories.commitTree(id, {
    tree: await repositories.emptyTree(id),
    parents: [],
    message: 'Empty',
    ...at,
  });
  const changes = Object.entries(files).map(([path, content]) => ({ path, content }));
  const tree = await repositories.applyFiles(id, empty, changes);
  const head = await repositories.commitTree(id, { tree, parents: [], message: 'Import', ...at });
  await repositories.updateRef(id, 'refs/heads/main', head, NOTHING);
  const project: ProjectRecord = {
    id, teamId: ids.next('team'), name: 'Greeter', slug: 'greeter', branch: 'main', head, gitPath: `/git/${id}.git`,
    createdAt: new Date().toISOString(), importedHead: head,
  }; // prettier-ignore
  neighbours.projects.set(id, project);
  return project;
}

/** This room on a real PostgreSQL and a real repository, with nothing moving by itself: a test calls the driver. */
export async function startWorld({ dataDir: given }: { readonly dataDir?: string } = {}) {
  const database = await testDatabase();
  const opened = await database.open();
  await database.sql(LEASES);
  const dataDir = given ?? (await mkdtemp(join(tmpdir(), 'muster-integration-')));
  const config = loadConfig({ MUSTER_DATA_DIR: dataDir, MUSTER_ROLE: 'api' });

  @Global()
  @Module({ providers: [{ provide: Database, useValue: opened }], exports: [Database] })
  class OpenDatabaseModule {}

  const module: TestingModule = await Test.createTestingModule({
    imports: [
      ConfigModule.forRoot(config), OpenDatabaseModule, CqrsModule.forRoot(), EventLogModule, HttpModule, GitModule, BlobsModule, NeighboursModule,
      IntegrationModule,
    ], // prettier-ignore
  }).compile();
  module.useLogger(false);
  await module.init();

  const get = <T>(type: abstract new (...args: never[]) => T): T => module.get(type, { strict: false });
  const neighbours = get(Neighbours);
  const repositories = get(Repositories);
  const git = get(Git);
  const commands = get(CommandBus);
  const queries = get(QueryBus);
  const submissions = get(AdvanceSubmission);
  const landings = get(AdvanceLanding);
  const incidents = get(AdvanceIncident);

  const world = {
    ids,
    database,
    opened,
    module,
    get,
    neighbours,
    repositories,
    git,
    commands,
    queries,
    submissions,
    landings,
    incidents,
    dataDir,
    sweep: get(Sweep),
    steps: get(LandSubmission),

    project: (files?: Record<string, string>) => newProject(repositories, neighbours, files),

    async head(project: ProjectRecord): Promise<string> {
      return (await repositories.resolve(project.id, 'refs/heads/main')) ?? '';
    },

    /** Somebody of the team; with a key that agents may work with. */
    person(name: string, role: 'maintainer' | 'developer'): Approver {
      const id = ids.next('user');
      neighbours.people.set(id, { userId: id, name, email: `${name}@example.org`, role });
      return { id, name };
    },

    review: (submissionId: string, by: Approver, said: Said = { verdict: 'approve' }) =>
      commands.execute(new ReviewSubmission(submissionId, said, by)),

    /** A task of the project whose attempt holds this fence. */
    async held(project: ProjectRecord): Promise<{ taskId: string; fence: number }> {
      const task = neighbours.newTask(project);
      const fence = neighbours.tasks.size + 100;
      await database.sql(`insert into leases (task_id, fence) values ($1, $2)`, [task.id, fence]);
      return { taskId: task.id, fence };
    },

    /** The next attempt of a task that was given back. */
    async heldAgain(taskId: string): Promise<{ taskId: string; fence: number }> {
      const [{ fence } = { fence: 0 }] = await database.sql<{ fence: number }>(
        `insert into leases (task_id, fence) values ($1, (select 1000 + count(*) from submissions)) returning fence`,
        [taskId],
      );
      neighbours.tasks.set(taskId, { ...neighbours.task(taskId), state: 'running' });
      return { taskId, fence };
    },

    /** @param again what another attempt of the same task hands in */
    async submit(
      project: ProjectRecord,
      files: Record<string, string | null>,
      base?: string,
      again?: { taskId: string; fence: number },
    ): Promise<SubmissionView> {
      const changes = Object.entries(files).map(([path, content]) => ({ path, content }));
      return await commands.execute(
        new ReceiveSubmission(project.teamId, {
          ...(again ?? (await world.held(project))), base: base ?? (await world.head(project)), message: 'Say hello better', files: changes,
        }, neighbours.holder), // prettier-ignore
      );
    },

    /** Several commits on one another, pushed by a person. */
    async push(project: ProjectRecord, commits: ReadonlyArray<Record<string, string | null>>): Promise<SubmissionView> {
      const who = { name: 'Ada', email: 'ada@example.org' };
      let commit = await world.head(project);
      for (const [at, files] of commits.entries()) {
        const changes = Object.entries(files).map(([path, content]) => ({ path, content }));
        const tree = await repositories.applyFiles(project.id, commit, changes);
        const made = { tree, parents: [commit], message: `Step ${at + 1}`, author: who, committer: who };
        commit = await repositories.commitTree(project.id, { ...made, date: new Date('2026-01-02T00:00:00Z') });
      }
      const { teamId, id: projectId, branch } = project;
      const push = { teamId, projectId, branch, commit, task: null, pushedBy: 'user_ada', person: null };
      return await commands.execute(new ReceivePush(push));
    },

    /** Handed in and accepted at the same time, so that they meet in the queue; the first of them has landed. */
    async queue(project: ProjectRecord, changes: ReadonlyArray<Record<string, string>>): Promise<SubmissionView[]> {
      const base = await world.head(project);
      const handedIn: SubmissionView[] = [];
      for (const files of changes) handedIn.push(await world.submit(project, files, base));
      for (const { id } of handedIn) await submissions.run(id);
      for (const { id } of handedIn) world.finish((await world.row(id)).verification_id, 'accepted');
      for (const { id } of handedIn) await submissions.run(id);
      await world.settled();
      return handedIn;
    },
    /** Until nobody has anything left to do by itself. */
    async settled(): Promise<void> {
      await submissions.idle();
      await world.due();
      await world.sweep.sweep();
      await submissions.idle();
    },

    async row(submissionId: string): Promise<SubmissionRow> {
      const [row] = await opened.sql<SubmissionRow>(`select ${submissionColumns} from submissions where id = $1`, [
        submissionId,
      ]);
      if (row === undefined) throw new Error(`no submission ${submissionId}`);
      return row;
    },
    async landing(landingId: string | null): Promise<LandingRow> {
      const [row] = await opened.sql<LandingRow>(`select ${landingColumns} from landings where id = $1`, [landingId]);
      if (row === undefined) throw new Error(`no landing ${landingId}`);
      return row;
    },
    async landingOf(submissionId: string): Promise<LandingRow> {
      return world.landing((await world.row(submissionId)).landing_id);
    },

    /** The verifier's part: every open verification of the submission gets this verdict, then the submission goes on. */
    async judge(
      submissionId: string,
      verdict: 'accepted' | 'rejected',
      more: Partial<VerificationView> = {},
    ): Promise<SubmissionRow> {
      world.finish((await world.row(submissionId)).verification_id, verdict, more);
      await submissions.run(submissionId);
      await submissions.idle();
      return world.row(submissionId);
    },
    finish(
      verificationId: string | null,
      verdict: 'accepted' | 'rejected',
      more: Partial<VerificationView> = {},
    ): void {
      const open = neighbours.verifications.get(verificationId ?? '');
      if (open === undefined) throw new Error(`no verification ${verificationId}`);
      const finished = {
        state: 'finished' as const,
        verdict,
        evidence: true,
        score: verdict === 'accepted' ? 100 : 40,
        finishedAt: new Date().toISOString(),
      };
      neighbours.verifications.set(open.id, {
        ...open,
        ...finished,
        reasons: verdict === 'accepted' ? [] : ['A test fails.'],
        ...more,
      });
    },
    /** Submitted, accepted and landed. */
    async land(project: ProjectRecord, files: Record<string, string | null>): Promise<LandingRow> {
      const submission = await world.submit(project, files);
      await submissions.run(submission.id);
      await world.judge(submission.id, 'accepted');
      return world.landingOf(submission.id);
    },
    rollBack(landingId: string): Promise<SubmissionView> {
      return commands.execute(new RollBackLanding(landingId, 'It broke the night build.', 'user_someone'));
    },
    audit(project: ProjectRecord) {
      return queries.execute(new AuditProject(project.id));
    },
    async events(subject: string): Promise<string[]> {
      const rows = await database.sql<{ type: string }>(
        `select type from events where subject = $1 order by position`,
        [subject],
      );
      return rows.map(({ type }) => type);
    },
    /** What a crash leaves to the next start: all that is open is due. */
    async due(): Promise<void> {
      await opened.sql(`update submissions set next_action_at = muster_now() where next_action_at is not null`);
      await opened.sql(`update landings set next_action_at = muster_now() where next_action_at is not null`);
      await opened.sql(`update landing_sets set next_action_at = muster_now() where next_action_at is not null`);
      await opened.sql(`update incidents set next_action_at = muster_now() where next_action_at is not null`);
    },
    async close(): Promise<void> {
      await module.close();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return world;
}
export type World = Awaited<ReturnType<typeof startWorld>>;

import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import type { Approver, ProjectPolicy, ReviewNeed } from '@muster/contracts';
import { FindPeopleBehind, type PersonBehind } from '#messages/auth';
import { FindVerification } from '#messages/quality';
import { Database } from '#platform/database';
import { FileTooLarge, Repositories } from '#platform/git';
import { AgentRecords } from './agent-records.ts';
import { CODE_OWNERS_FILES, codeOwners, type OwnersOf } from './domain/code-owners.ts';
import { isMeant, missingOf, type Requirement, requirementsOf, SOMEBODY_IN_CHARGE } from './domain/review.ts';
import type { SubmissionRow } from './domain/submission.ts';

const MOST_BYTES = 1024 * 1024;

export interface ReviewState {
  readonly missing: ReviewNeed[];
  /** Whose approval counts for this content, the first one first. */
  readonly approvers: readonly Approver[];
}

/** What a change waits for people for, by the rules of what has landed and by what was said about exactly this content. */
@Injectable()
export class Reviews {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly records: AgentRecords,
  ) {}

  /** What goes back is not asked about: it was asked for by a person or by the rules. */
  async stateOf(row: SubmissionRow, policy: ProjectPolicy, landed: string): Promise<ReviewState> {
    const { codeOwners: byFile, owners, approvals } = policy.review;
    if (row.kind === 'revert') return { missing: [], approvers: [] };
    const enforced = await this.enforced(row, policy);
    const asked = byFile || owners.length > 0 || approvals > 0 || row.rules_paths.length > 0 || enforced.length > 0;
    if (!asked) return { missing: [], approvers: [] };
    const { project_id: projectId } = row;
    const paths = (await this.repositories.diffFiles(projectId, row.base, row.commit)).map(({ path }) => path);
    const ownersOf = byFile ? await this.ownersAt(projectId, landed) : null;
    const requirements = [...requirementsOf(policy.review, ownersOf, paths, row.rules_paths), ...enforced];
    if (requirements.length === 0) return { missing: [], approvers: [] };
    const approvers = await this.approversOf(row);
    return {
      missing: missingOf(requirements, approvers),
      approvers: approvers
        .filter((one) => requirements.some(({ people }) => isMeant(people, one)))
        .map(({ userId, name }) => ({ id: userId, name })),
    };
  }

  /** A maintainer looks where the project insists on more than the change has, or than its agent lately achieves. */
  private async enforced(row: SubmissionRow, policy: ProjectPolicy): Promise<Requirement[]> {
    const { onBreach, agentSuccess } = policy.enforcer;
    const verification =
      onBreach === 'review' && row.verification_id !== null
        ? await this.queries.execute(new FindVerification(row.verification_id))
        : null;
    const breaches = verification?.verdict === 'accepted' ? verification.breaches : [];
    const below =
      row.agent !== null &&
      agentSuccess.percent > 0 &&
      (await this.records.of(row.project_id, row.agent, policy)).breached;
    if (breaches.length === 0 && !below) return [];
    const paths = [...new Set(breaches.flatMap((breach) => breach.paths))];
    return [{ because: 'enforcer', paths, people: [SOMEBODY_IN_CHARGE], approvals: 1 }];
  }

  /** The person behind who handed it in: whose key the agent works with, or who pushed. */
  async authorOf(row: SubmissionRow): Promise<string> {
    const people = await this.people(row, [row.requested_by]);
    return people.get(row.requested_by)?.userId ?? row.requested_by;
  }

  async people(row: SubmissionRow, actorIds: readonly string[]): Promise<ReadonlyMap<string, PersonBehind>> {
    return await this.queries.execute(new FindPeopleBehind(row.team_id, row.project_id, actorIds));
  }

  private async approversOf(row: SubmissionRow): Promise<PersonBehind[]> {
    const said = await this.database.sql<{ user_id: string }>(
      `select user_id from reviews where project_id = $1 and base_tree = $2 and tree = $3 and verdict = 'approve' order by created_at, user_id`,
      [row.project_id, await this.repositories.treeOf(row.project_id, row.base), row.tree],
    );
    if (said.length === 0) return [];
    const people = await this.people(row, [row.requested_by, ...said.map(({ user_id: id }) => id)]);
    const author = people.get(row.requested_by)?.userId;
    // Four eyes: whose agent it is does not count, whatever was said while it was somebody else's.
    return said.flatMap(({ user_id: id }) => {
      const person = people.get(id);
      return person === undefined || id === author ? [] : [person];
    });
  }

  /** A file that cannot be read owns everything: nothing lands for want of it, and a maintainer may mend it. */
  private async ownersAt(projectId: string, commit: string): Promise<OwnersOf> {
    for (const path of CODE_OWNERS_FILES) {
      try {
        const bytes = await this.repositories.readFile(projectId, commit, path, MOST_BYTES);
        if (bytes !== null) return codeOwners(bytes.toString('utf8'));
      } catch (error) {
        if (!(error instanceof FileTooLarge)) throw error;
        return () => ['@maintainer'];
      }
    }
    return () => null;
  }
}

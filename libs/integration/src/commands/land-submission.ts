import { Injectable, Logger } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import type { Approver, VerificationView } from '@muster/contracts';
import { ReadPolicy } from '#messages/projects';
import { FindVerification } from '#messages/quality';
import { Clock, Ids, MusterError, type Tx } from '#kernel';
import { Database, sqlState } from '#platform/database';
import { Repositories } from '#platform/git';
import { Candidates, type Made, type Recipe } from '../candidates.ts';
import { CrashPoints } from '../crash-points.ts';
import { landedMessage, MUSTER } from '../domain/commit-message.ts';
import { digestOf } from '../domain/dsse.ts';
import { landingColumns, type LandingRow, NOTES_REF } from '../domain/landing.ts';
import { approvalOf, resolvedOn, type SubmissionRow } from '../domain/submission.ts';
import { LandingLine } from '../landing-line.ts';
import { type Attested, Provenance } from '../provenance.ts';

const POLICY_FILE = 'muster.yaml';
const MOST_POLICY_BYTES = 10_000_000;

/** One envelope a line, the summary first: what in-toto calls a bundle. */
const noteOf = ({ summary, inputs }: Attested): string =>
  [summary, ...inputs].map((envelope) => JSON.stringify(envelope)).join('\n');

/** Evidence that is not about the very thing that is to land. Ends the intent, never the submission: it is verified anew. */
export class EvidenceMismatch extends Error {}

/** A landing before its intent. */
export interface Prepared {
  readonly id: string;
  readonly before: string;
  readonly tree: string;
  readonly verification: VerificationView;
  readonly message: string;
  readonly author: string;
  readonly committedAt: Date;
  readonly commit: string;
  readonly below: readonly string[];
  readonly resolved: Recipe['resolved'];
}

/**
 * A landing in five steps, each of which may be the last one before the power fails: intend, move, attest, complete; or
 * abandon. Everything after `intend` is derived from the intent's row alone, so whoever finds one open finishes it.
 */
@Injectable()
export class LandSubmission {
  private readonly logger = new Logger(LandSubmission.name);

  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly provenance: Provenance,
    private readonly ids: Ids,
    private readonly clock: Clock,
    private readonly candidates: Candidates,
    private readonly line: LandingLine,
    private readonly crash: CrashPoints,
  ) {}

  /** Writes down what is going to happen. Null when someone else's intent is open on the branch, or the submission moved on. */
  async intend(row: SubmissionRow, reviewers: readonly Approver[] = []): Promise<LandingRow | null> {
    const prepared = await this.prepare(row);
    try {
      const intent = await this.database.transaction((tx) => this.record(tx, row, prepared, reviewers, null));
      this.crash.reach('landing.intended');
      return intent;
    } catch (error) {
      // Another intent is open on this branch; it is finished first and this one takes its turn again.
      if (sqlState(error) === '23505') return null;
      throw error;
    }
  }

  /** The evidence, read once more, and the commit that would land. Nothing is written but objects. */
  async prepare(row: SubmissionRow): Promise<Prepared> {
    const { candidate_head: before, verification_id: verificationId, candidate_tree: tree } = row;
    if (before === null || verificationId === null || tree === null)
      throw new EvidenceMismatch('There is no verification.');
    const approvedBy = row.approved_by;
    const verification = await this.evidence(row.project_id, { verificationId, tree, before, approvedBy });
    this.crash.reach('landing.evidence_read');
    const id = this.ids.next('landing');
    const message = landedMessage(row.message, {
      submission: row.id,
      task: row.task_id,
      verification: verification.id,
      landing: id,
      reverts: row.reverts_landing_id,
    });
    const author = row.agent ?? (row.kind === 'revert' ? MUSTER.name : row.requested_by);
    const committedAt = new Date(Math.floor(this.clock.now().getTime() / 1000) * 1000);
    const resolved = resolvedOn(row, before);
    const recipe = {
      projectId: row.project_id,
      strategy: row.strategy,
      before,
      handedIn: row,
      resolved,
      message,
      author,
      committedAt,
    };
    const { commit, below } = exactly(tree, await this.candidates.make(recipe));
    return { id, before, tree, verification, message, author, committedAt, commit, below, resolved };
  }

  /** In the transaction of the intent, or of the intents of a whole set. Null: the submission has moved on. */
  async record(
    tx: Tx,
    row: SubmissionRow,
    { id, before, tree, verification, message, author, committedAt, commit, below, resolved }: Prepared,
    reviewers: readonly Approver[],
    setId: string | null,
  ): Promise<LandingRow | null> {
    const [still] = await tx.sql<{ id: string }>(
      `update submissions set state = 'landing', landing_id = $3, step = step + 1, failures = 0, last_error = null, held = null,
         next_action_at = muster_now(), updated_at = muster_now()
       where id = $1 and step = $2 and state = 'queued' returning id`,
      [row.id, row.step, id],
    );
    if (still === undefined) return null;
    const [landing] = await tx.sql<LandingRow>(
      `insert into landings (id, team_id, project_id, submission_id, verification_id, task_id, fence, kind, agent, author, branch,
         before, commit, landed_tree, verified_tree, message, committed_at, score, previous_statement, reverts_landing_id, approved_by, strategy,
         commits, released_by, reviewers, set_id, resolved, state)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
         (select statement_digest from landings where project_id = $3 and commit = $12 and state in ('landed', 'rolled_back')),
         $19, $20::jsonb, $21, $22::jsonb, $23::jsonb, $24::jsonb, $25, $26::jsonb, 'intended')
       returning ${landingColumns}`,
      [
        id, row.team_id, row.project_id, row.id, verification.id, row.task_id, row.fence, row.kind, row.agent, author, row.branch,
        before, commit, tree, verification.candidateTree, message, committedAt, verification.score ?? 0, row.reverts_landing_id,
        row.approved_by && JSON.stringify(row.approved_by), row.strategy, JSON.stringify(below),
        row.released_by && JSON.stringify(row.released_by), JSON.stringify(reviewers), setId, JSON.stringify(resolved),
      ], // prettier-ignore
    );
    return landing ?? null;
  }

  /**
   * Moves the branch by compare-and-swap, after looking once more at what it would move to. `elsewhere` when the branch has
   * gone on without this landing.
   * @param fence a ref without which it does not move: whoever takes it away has ended this landing
   */
  async move(landing: LandingRow, fence: string | null = null): Promise<'moved' | 'elsewhere'> {
    const { project_id: projectId, before, commit } = landing;
    const ref = `refs/heads/${landing.branch}`;
    const head = await this.repositories.resolve(projectId, ref);
    if (head !== null && head !== before) return await this.holds(landing, head);
    const { verification_id: verificationId, verified_tree: tree, approved_by: approvedBy } = landing;
    await this.evidence(projectId, { verificationId, tree, before, approvedBy });
    const made = exactly(tree, await this.candidates.make(await this.recipeOf(landing)));
    if (made.commit !== commit) throw new EvidenceMismatch(`The commit made again is ${made.commit}, not ${commit}.`);
    if ((await this.repositories.treeOf(projectId, commit)) !== landing.verified_tree) {
      throw new EvidenceMismatch(`The tree of ${commit} is not the verified tree ${landing.verified_tree}.`);
    }
    if (!(await this.isCurrent(landing))) return 'elsewhere';
    this.crash.reach('landing.checked');
    const swap = { ref, next: commit, old: before };
    const moved =
      fence === null
        ? await this.repositories.updateRef(projectId, ref, commit, before)
        : await this.repositories.updateRefs(projectId, [swap, { ref: fence, same: commit }]);
    if (moved) {
      this.crash.reach('landing.moved');
      return 'moved';
    }
    const now = await this.repositories.resolve(projectId, ref);
    return now === null ? 'elsewhere' : await this.holds(landing, now);
  }

  /** Signs what landed and lays it beside the commit. Again after a crash: the same words. */
  async attest(landing: LandingRow): Promise<Attested> {
    const { project_id: projectId, before, commit } = landing;
    const verification = await this.verification(landing.verification_id);
    const { handedIn } = await this.recipeOf(landing);
    const rules = await this.repositories.readFile(projectId, before, POLICY_FILE, MOST_POLICY_BYTES);
    const policyFile = rules === null ? null : digestOf(rules);
    const attested = await this.provenance.sign(landing, verification, { handedIn, policyFile });
    this.crash.reach('landing.signed');
    await this.repositories.addNote(projectId, NOTES_REF, commit, noteOf(attested));
    this.crash.reach('landing.attested');
    return attested;
  }

  /** Tells everyone, in one transaction, and leaves word that the landed commit has to prove itself where its rules say so. */
  async complete(landing: LandingRow, { summary, inputs }: Attested): Promise<void> {
    const postLanding = (await this.hasPostLandingCheck(landing)) ? 'pending' : 'none';
    await this.database.transaction(async (tx) => {
      const [done] = await tx.sql<{ id: string }>(
        `update landings set state = 'landed', landed_at = muster_now(), statement = $2::jsonb, statement_digest = $3, attestations = $5::jsonb,
           post_landing = $4, next_action_at = case when $4 = 'pending' then muster_now() end
         where id = $1 and state = 'intended' returning id`,
        [
          landing.id,
          JSON.stringify(summary),
          digestOf(Buffer.from(summary.payload, 'base64')),
          postLanding,
          JSON.stringify(inputs),
        ],
      );
      if (done === undefined) return;
      await tx.sql(
        `update submissions set state = 'landed', step = step + 1, failures = 0, last_error = null, next_action_at = muster_now(),
           updated_at = muster_now()
         where id = $1`,
        [landing.submission_id],
      );
      await this.line.resize(tx, landing, 'landed');
      if (landing.reverts_landing_id !== null) {
        await tx.sql(
          `update landings set state = 'rolled_back', rolled_back_by = $2 where id = $1 and state = 'landed'`,
          [landing.reverts_landing_id, landing.id],
        );
      }
      tx.append({
        type: 'landing.landed',
        teamId: landing.team_id,
        projectId: landing.project_id,
        subject: landing.id,
        data: {
          landingId: landing.id,
          submissionId: landing.submission_id,
          taskId: landing.task_id,
          commit: landing.commit,
          landedTree: landing.landed_tree,
          verifiedTree: landing.verified_tree,
          kind: landing.kind,
          strategy: landing.strategy,
          score: landing.score,
        },
      });
    });
    this.crash.reach('landing.completed');
  }

  /** Nothing of it has landed: the submission takes its turn again, on the branch as it is now. */
  async abandon(landing: LandingRow, why: string): Promise<void> {
    this.logger.warn(`${landing.id} is abandoned: ${why}`);
    await this.database.transaction(async (tx) => {
      const [open] = await tx.sql<{ id: string }>(
        `update landings set state = 'abandoned', last_error = $2 where id = $1 and state = 'intended' returning id`,
        [landing.id, why],
      );
      if (open === undefined) return;
      // Without its head the candidate is computed, and if need be verified, again.
      await tx.sql(
        `update submissions set state = 'queued', landing_id = null, candidate_head = null, step = step + 1,
           next_action_at = muster_now(), updated_at = muster_now()
         where id = $1 and state = 'landing'`,
        [landing.submission_id],
      );
    });
  }

  /** From wherever it stopped to its end. */
  async finish(landing: LandingRow): Promise<void> {
    if (landing.state !== 'intended') return;
    try {
      if ((await this.move(landing)) === 'elsewhere') {
        await this.abandon(landing, `${landing.branch} has moved on from ${landing.before}.`);
        return;
      }
    } catch (error) {
      if (!(error instanceof EvidenceMismatch)) throw error;
      await this.abandon(landing, error.message);
      return;
    }
    await this.complete(landing, await this.attest(landing));
  }

  async find(landingId: string): Promise<LandingRow | null> {
    const [row] = await this.database.sql<LandingRow>(`select ${landingColumns} from landings where id = $1`, [
      landingId,
    ]);
    return row ?? null;
  }

  private async hasPostLandingCheck(landing: LandingRow): Promise<boolean> {
    try {
      const { policy } = await this.queries.execute(new ReadPolicy(landing.project_id, landing.commit));
      return policy.postLanding !== undefined;
    } catch (error) {
      // It has landed whatever its rules say; rules that cannot be read ask for nothing.
      if (!(error instanceof MusterError)) throw error;
      this.logger.warn(`The policy of ${landing.commit} cannot be read: ${error.message}`);
      return false;
    }
  }

  /** The branch is past the intent's `before`: with our commit in it, or without. */
  private async holds(landing: LandingRow, head: string): Promise<'moved' | 'elsewhere'> {
    if (head === landing.commit) return 'moved';
    const known = await this.repositories.resolve(landing.project_id, landing.commit);
    return known !== null && (await this.repositories.isAncestor(landing.project_id, landing.commit, head))
      ? 'moved'
      : 'elsewhere';
  }

  /** An accepted verification of exactly this tree against exactly this head, or nothing. */
  private async evidence(
    projectId: string,
    want: { verificationId: string; tree: string; before: string; approvedBy: Approver | null },
  ): Promise<VerificationView> {
    const verification = await this.verification(want.verificationId);
    if (verification.projectId !== projectId) throw new EvidenceMismatch('The verification is about another project.');
    if (verification.state !== 'finished' || verification.verdict !== 'accepted') {
      throw new EvidenceMismatch(`${verification.id} is not accepted.`);
    }
    if (!['admission', 'landing', 'revert'].includes(verification.purpose)) {
      throw new EvidenceMismatch(`${verification.id} was made for ${verification.purpose}, not for landing.`);
    }
    if (verification.candidateTree !== want.tree) {
      throw new EvidenceMismatch(
        `${verification.id} is about the tree ${verification.candidateTree}, not ${want.tree}.`,
      );
    }
    if (verification.baseTree !== (await this.repositories.treeOf(projectId, want.before))) {
      throw new EvidenceMismatch(`${verification.id} was not compared with ${want.before}.`);
    }
    if (verification.approvedBy !== approvalOf(want.approvedBy)) {
      throw new EvidenceMismatch(`${verification.id} was let through by ${verification.approvedBy ?? 'nobody'}.`);
    }
    return verification;
  }

  private async verification(id: string): Promise<VerificationView> {
    const found = await this.queries.execute(new FindVerification(id));
    if (found === null) throw new EvidenceMismatch(`There is no verification ${id}.`);
    return found;
  }

  private async recipeOf(landing: LandingRow): Promise<Recipe> {
    const [handedIn] = await this.database.sql<Recipe['handedIn']>(
      `select commit, base from submissions where id = $1`,
      [landing.submission_id],
    );
    if (handedIn === undefined) throw new EvidenceMismatch(`There is no submission ${landing.submission_id}.`);
    const { project_id: projectId, strategy, before, resolved, message, author } = landing;
    return {
      projectId,
      strategy,
      before,
      handedIn,
      resolved,
      message,
      author,
      committedAt: new Date(landing.committed_at),
    };
  }

  /** An intent is the fence of a landing: one that was abandoned meanwhile moves nothing. */
  private async isCurrent(landing: LandingRow): Promise<boolean> {
    const [row] = await this.database.sql(`select from landings where id = $1 and state = 'intended'`, [landing.id]);
    return row !== undefined;
  }
}

/**
 * The merge is made again on the very commit that the branch points at. If it is clean, what landed before is in it as well as
 * what was handed in; if its tree is the verified one, that is what was verified.
 */
function exactly(verified: string, made: Made): Made & { readonly clean: true } {
  if (!made.clean) throw new EvidenceMismatch('It does not merge with the branch any more.');
  if (made.tree !== verified)
    throw new EvidenceMismatch(`It makes the tree ${made.tree}, and ${verified} was verified.`);
  return made;
}

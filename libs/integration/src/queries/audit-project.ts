import { type IQueryHandler, Query, QueryBus, QueryHandler } from '@nestjs/cqrs';
import type { AuditReport } from '@muster/contracts';
import { FindProject } from '#messages/projects';
import { FindVerification } from '#messages/quality';
import { Database } from '#platform/database';
import { Git, Repositories } from '#platform/git';
import { type AuditedCommit, carriedBy, problemsOf, readTestimony } from '../domain/audit.ts';
import { landingColumns, type LandingRow, NOTES_REF } from '../domain/landing.ts';
import { NotFound } from '../integration.errors.ts';
import { Provenance } from '../provenance.ts';

/** Re-checks the whole history of a project's branch since its import. Trusts git's objects and the public keys, nothing else alone. */
export class AuditProject extends Query<AuditReport> {
  constructor(readonly projectId: string) {
    super();
  }
}

@QueryHandler(AuditProject)
export class AuditProjectHandler implements IQueryHandler<AuditProject> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly git: Git,
    private readonly repositories: Repositories,
    private readonly provenance: Provenance,
  ) {}

  async execute({ projectId }: AuditProject): Promise<AuditReport> {
    const project = await this.queries.execute(new FindProject(projectId));
    if (project === null) throw new NotFound('project', projectId);
    const { branch, importedHead } = project;
    const keys = await this.provenance.publicKeys();
    const head = await this.repositories.resolve(projectId, `refs/heads/${branch}`);
    const records = new Map(
      (
        await this.database.sql<LandingRow>(
          `select ${landingColumns} from landings where project_id = $1 and branch = $2 and state in ('landed', 'rolled_back') order by id`,
          [projectId, branch],
        )
      ).map((row) => [row.commit, row]),
    );

    const history = head === null ? [] : await this.history(projectId, importedHead, head);
    const commits: AuditReport['commits'] = [];
    let previous: string | null = null;
    let below = importedHead;
    let landedBelow = importedHead;
    const testimonies = new Map(history.map(({ commit, note }) => [commit, readTestimony(note, keys)]));
    const carried = carriedBy(history, testimonies);
    // Oldest first: each has to follow on the one below it.
    for (const audited of history.toReversed()) {
      const problems: string[] = [];
      if ((audited.parents[0] ?? null) !== below) {
        problems.push(`The branch does not go back to ${below ?? 'an empty project'} here: history was rewritten.`);
      }
      const testimony = testimonies.get(audited.commit) ?? 'It was not looked at.';
      const carrier = carried.get(audited.commit);
      const landing = records.get(carrier ?? audited.commit) ?? null;
      if (carrier !== undefined) {
        if (audited.note !== '') problems.push('It is part of a landing, but has a statement of its own.');
      } else if (typeof testimony === 'string') {
        problems.push(testimony);
        previous = landing?.statement_digest ?? null;
      } else {
        const verification = await this.queries.execute(
          new FindVerification(testimony.statement.predicate.muster.verification),
        );
        problems.push(
          ...problemsOf(audited, testimony, { branch, projectId, previous, below: landedBelow, landing, verification }),
        );
        previous = testimony.digest;
      }
      below = audited.commit;
      if (carrier === undefined) landedBelow = audited.commit;
      commits.push({
        commit: audited.commit,
        tree: audited.tree,
        subject: audited.subject,
        kind: landing === null ? 'unknown' : 'landing',
        landingId: landing?.id ?? null,
        problems,
      });
    }

    const seen = new Set(history.map(({ commit }) => commit));
    for (const row of records.values()) {
      if (seen.has(row.commit)) continue;
      commits.push({
        commit: row.commit,
        tree: row.landed_tree,
        subject: row.message.split('\n', 1)[0] ?? '',
        kind: 'landing',
        landingId: row.id,
        problems: [`It landed as ${row.id}, but ${branch} does not have it any more: the branch was moved back.`],
      });
    }
    if (importedHead !== null) commits.unshift(await this.importOf(projectId, importedHead, head));
    return {
      projectId,
      branch,
      ok: commits.every(({ problems }) => problems.length === 0),
      checked: commits.length,
      publicKeys: [...keys].map(([keyId, pem]) => ({ keyId, pem })),
      commits,
    };
  }

  /** Where Muster's word begins. What is before it is not ours to vouch for. */
  private async importOf(
    projectId: string,
    imported: string,
    head: string | null,
  ): Promise<AuditReport['commits'][number]> {
    const known = (await this.repositories.resolve(projectId, imported)) !== null;
    const below = known && head !== null && (await this.repositories.isAncestor(projectId, imported, head));
    const [commit] = known ? await this.repositories.log(projectId, null, imported, 1) : [];
    return {
      commit: imported,
      tree: commit?.tree ?? imported,
      subject: commit?.subject ?? '',
      kind: 'import',
      landingId: null,
      problems: below ? [] : ['The branch does not descend from the import any more: history was rewritten.'],
    };
  }

  /** First parents, newest first, with their notes: one run of git however long the history is. */
  private async history(projectId: string, from: string | null, to: string): Promise<AuditedCommit[]> {
    const { stdout } = await this.git.run(this.repositories.path(projectId), [
      'log', '-z', '--first-parent', '--no-show-signature', '--no-color', `--notes=${NOTES_REF}`,
      '--format=%H%n%T%n%P%n%s%n%N', '--end-of-options', to, ...(from === null ? [] : [`^${from}`]), '--',
    ]); // prettier-ignore
    return stdout
      .toString('utf8')
      .split('\0')
      .filter((record) => record !== '')
      .map((record) => {
        const [commit = '', tree = '', parents = '', subject = '', ...note] = record.split('\n');
        return {
          commit,
          tree,
          parents: parents === '' ? [] : parents.split(' '),
          subject,
          note: note.join('\n').trim(),
        };
      });
  }
}

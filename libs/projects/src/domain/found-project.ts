import type { ProjectView } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { Clock, Ids } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database, violatedConstraint } from '#platform/database';
import { Repositories } from '#platform/git';
import { GitBusy, SlugTaken } from '../projects.errors.ts';
import { Project, slugOf } from './project.ts';

/** Imports take minutes, bandwidth and disk: more at once would leave nothing for the work on the projects that exist. */
const IMPORTS_AT_ONCE = 4;

/** How a project begins: first its repository is complete, then its row makes it known. A failure leaves neither. */
@Injectable()
export class FoundProject {
  private imports = 0;

  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
    private readonly ids: Ids,
    private readonly clock: Clock,
  ) {}

  /** @param fill brings the history into the new repository and tells its branch */
  async found(
    actor: Actor,
    wish: { readonly name: string; readonly slug?: string | undefined },
    fill: (projectId: string) => Promise<{ branch: string }>,
  ): Promise<ProjectView> {
    if (wish.slug !== undefined) {
      // Before a long import, not instead of the constraint.
      const taken = await this.database.sql('select 1 from projects where team_id = $1 and slug = $2', [
        actor.teamId,
        wish.slug,
      ]);
      if (taken.length > 0) throw new SlugTaken(wish.slug);
    }
    const id = this.ids.next('project');
    try {
      const { branch } = await fill(id);
      const head = await this.repositories.resolve(id, `refs/heads/${branch}`);
      if (head === null) throw new Error(`the new repository ${id} has no branch ${branch}`);
      const project = await this.insert(actor, id, wish, branch, head);
      return project.view(head);
    } catch (error) {
      await this.repositories.remove(id);
      throw error;
    }
  }

  /** `found` for what comes from outside: a few at a time, the others are asked to come back. */
  async import(...[actor, wish, fill]: Parameters<FoundProject['found']>): Promise<ProjectView> {
    if (this.imports >= IMPORTS_AT_ONCE) throw new GitBusy();
    this.imports += 1;
    try {
      return await this.found(actor, wish, fill);
    } finally {
      this.imports -= 1;
    }
  }

  private async insert(
    actor: Actor,
    id: string,
    wish: { readonly name: string; readonly slug?: string | undefined },
    branch: string,
    head: string,
  ): Promise<Project> {
    const wanted = wish.slug ?? slugOf(wish.name);
    const now = this.clock.now();
    for (let number = 1; ; number += 1) {
      // The end of the id is as good as random: the last try cannot be taken.
      const slug = number === 1 ? wanted : number <= 20 ? `${wanted}-${number}` : `${wanted}-${id.slice(-10)}`;
      try {
        return await this.database.transaction(async (tx) => {
          const project = tx.em.create(Project, {
            id,
            teamId: actor.teamId,
            name: wish.name,
            slug,
            branch,
            importedHead: head,
            createdAt: now,
            updatedAt: now,
          });
          await tx.em.flush();
          await tx.sql(
            `insert into repository_upkeep (project_id, next_action_at) values ($1, muster_now() + interval '1 hour')`,
            [id],
          );
          tx.append({
            type: 'project.created',
            teamId: actor.teamId,
            projectId: id,
            subject: id,
            data: { projectId: id, name: wish.name, slug, branch, head, by: actor.id },
          });
          return project;
        });
      } catch (error) {
        if (violatedConstraint(error) !== 'projects_slug') throw error;
        if (wish.slug !== undefined || number > 20) throw new SlugTaken(slug);
      }
    }
  }
}

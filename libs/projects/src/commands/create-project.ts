import type { ProjectView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock } from '#kernel';
import type { Actor } from '#messages/auth';
import { Config } from '#platform/config';
import { Git, NOTHING, Repositories } from '#platform/git';
import { FoundProject } from '../domain/found-project.ts';
import { importSource } from '../domain/import-source.ts';

const muster = { name: 'Muster', email: 'muster@localhost' };

/** A project that is empty, or has the history of another repository. */
export class CreateProject extends Command<ProjectView> {
  constructor(
    readonly actor: Actor,
    readonly wish: {
      readonly name: string;
      readonly slug?: string | undefined;
      readonly branch?: string | undefined;
      readonly source?: { readonly url: string } | { readonly path: string } | undefined;
    },
  ) {
    super();
  }
}

@CommandHandler(CreateProject)
export class CreateProjectHandler implements ICommandHandler<CreateProject> {
  constructor(
    private readonly founding: FoundProject,
    private readonly repositories: Repositories,
    private readonly git: Git,
    private readonly config: Config,
    private readonly clock: Clock,
  ) {}

  async execute({ actor, wish }: CreateProject): Promise<ProjectView> {
    const { source, branch } = wish;
    if (source === undefined)
      return this.founding.found(actor, wish, (id) => this.empty(id, wish.name, branch ?? 'main'));
    return this.founding.import(actor, wish, async (id) => {
      await this.repositories.create(id, branch ?? 'main');
      return importSource(this.git, this.repositories.path(id), source, branch, this.config);
    });
  }

  /** Begins with a commit of nothing, so that there is a head that work can be based on. */
  private async empty(id: string, name: string, branch: string): Promise<{ branch: string }> {
    await this.repositories.create(id, branch);
    const commit = await this.repositories.commitTree(id, {
      tree: await this.repositories.emptyTree(id),
      parents: [],
      message: `Create ${name}`,
      author: muster,
      committer: muster,
      date: this.clock.now(),
    });
    if (!(await this.repositories.updateRef(id, `refs/heads/${branch}`, commit, NOTHING)))
      throw new Error(`the new repository ${id} already has a branch ${branch}`);
    return { branch };
  }
}

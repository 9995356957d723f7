import type { Readable } from 'node:stream';
import type { ProjectView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock } from '#kernel';
import type { Actor } from '#messages/auth';
import { Git, Repositories } from '#platform/git';
import { FoundProject } from '../domain/found-project.ts';
import { importArchive } from '../domain/import-archive.ts';

/** A project that begins with the files of an archive, as one commit. */
export class ImportProject extends Command<ProjectView> {
  constructor(
    readonly actor: Actor,
    readonly wish: {
      readonly name: string;
      readonly slug?: string | undefined;
      readonly branch: string;
      readonly strip: number;
    },
    readonly archive: Readable,
  ) {
    super();
  }
}

@CommandHandler(ImportProject)
export class ImportProjectHandler implements ICommandHandler<ImportProject> {
  constructor(
    private readonly founding: FoundProject,
    private readonly repositories: Repositories,
    private readonly git: Git,
    private readonly clock: Clock,
  ) {}

  async execute({ actor, wish, archive }: ImportProject): Promise<ProjectView> {
    const { branch, strip } = wish;
    return this.founding.import(actor, wish, async (id) => {
      await this.repositories.create(id, branch);
      const commit = { branch, strip, message: `Import ${wish.name}`, date: this.clock.now() };
      await importArchive(this.git, this.repositories.path(id), archive, commit);
      return { branch };
    });
  }
}

import { CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { MusterError } from '#kernel';
import { FetchFromRemote, ListRemotes, type ReachedRemote } from '#messages/projects';
import { Config } from '#platform/config';
import { Git, GitFailed, Repositories } from '#platform/git';
import { fetchRef, reach, saidBy } from '../domain/remote-transport.ts';

/** Where new work is taken from; else where it goes to. */
@CommandHandler(FetchFromRemote)
export class FetchFromRemoteHandler implements ICommandHandler<FetchFromRemote> {
  constructor(
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly git: Git,
    private readonly config: Config,
  ) {}

  async execute({ projectId, theirs, ours }: FetchFromRemote): Promise<ReachedRemote<string>> {
    const [remote] = await this.queries.execute(new ListRemotes(projectId));
    if (remote === undefined)
      return {
        state: 'failing',
        problem:
          'The project has no remote to fetch it from. Name one with PUT /api/projects/{projectId}/remotes/from.',
      };
    try {
      const there = await reach(remote.url, this.config);
      await fetchRef(this.git, this.repositories.path(projectId), there, theirs, ours);
    } catch (error) {
      if (error instanceof GitFailed) return { state: 'failing', problem: saidBy(error) };
      if (error instanceof MusterError && error.status < 500) return { state: 'failing', problem: error.message };
      throw error;
    }
    const arrived = await this.repositories.resolve(projectId, ours);
    return arrived === null
      ? { state: 'failing', problem: `${theirs} was promised there, and nothing was sent.` }
      : { state: 'done', value: arrived };
  }
}

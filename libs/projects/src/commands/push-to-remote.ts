import { CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { MusterError } from '#kernel';
import { ListRemotes, PushToRemote, type ReachedRemote } from '#messages/projects';
import { Config } from '#platform/config';
import { Git, GitFailed, Repositories } from '#platform/git';
import { headThere, pushOver, reach, saidBy } from '../domain/remote-transport.ts';

/** Where what has landed goes to; else where new work is taken from. */
@CommandHandler(PushToRemote)
export class PushToRemoteHandler implements ICommandHandler<PushToRemote> {
  constructor(
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly git: Git,
    private readonly config: Config,
  ) {}

  async execute({ projectId, branch, commit, ours }: PushToRemote): Promise<ReachedRemote<null>> {
    const remote = (await this.queries.execute(new ListRemotes(projectId))).at(-1);
    if (remote === undefined)
      return {
        state: 'failing',
        problem: 'The project has no remote to push to. Name one with PUT /api/projects/{projectId}/remotes/to.',
      };
    const dir = this.repositories.path(projectId);
    try {
      const there = await reach(remote.url, this.config);
      const known = await headThere(this.git, dir, there, branch);
      if (known === commit) return { state: 'done', value: null };
      if (known !== null && !ours.includes(known))
        return {
          state: 'failing',
          problem: `Somebody else has put ${known} on ${branch} there. Take the branch away there, and it is pushed again.`,
        };
      const result = await pushOver(this.git, dir, there, branch, { known, next: commit });
      return result.pushed
        ? { state: 'done', value: null }
        : { state: 'failing', problem: `${branch} was refused there: ${result.why}` };
    } catch (error) {
      if (error instanceof GitFailed) return { state: 'failing', problem: saidBy(error) };
      if (error instanceof MusterError && error.status < 500) return { state: 'failing', problem: error.message };
      throw error;
    }
  }
}

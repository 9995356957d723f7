import type { PolicyView } from '@muster/contracts';
import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { ReadPolicy } from '#messages/projects';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { FileTooLarge, Repositories } from '#platform/git';
import { POLICY_FILE, POLICY_MAX_BYTES, policyOf } from '../domain/policy.ts';
import { ProjectUnknown } from '../projects.errors.ts';

@QueryHandler(ReadPolicy)
export class ReadPolicyHandler implements IQueryHandler<ReadPolicy> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
    private readonly config: Config,
  ) {}

  async execute({ projectId, commit }: ReadPolicy): Promise<PolicyView> {
    return policyOf(await this.source(projectId, commit ?? (await this.head(projectId))), this.config);
  }

  private async head(projectId: string): Promise<string> {
    const [row] = await this.database.sql<{ branch: string }>('select branch from projects where id = $1', [projectId]);
    const head = row === undefined ? null : await this.repositories.resolve(projectId, `refs/heads/${row.branch}`);
    if (head === null) throw new ProjectUnknown();
    return head;
  }

  private async source(projectId: string, commit: string): Promise<string | { unreadable: string } | null> {
    try {
      const bytes = await this.repositories.readFile(projectId, commit, POLICY_FILE, POLICY_MAX_BYTES);
      return bytes === null ? null : bytes.toString('utf8');
    } catch (error) {
      if (error instanceof FileTooLarge)
        return { unreadable: `${POLICY_FILE} is larger than ${POLICY_MAX_BYTES} bytes` };
      throw error;
    }
  }
}

import type { ForgeView, RequestPolicy } from '@muster/contracts';
import picomatch from 'picomatch';
import type { ForgeAccount } from '#platform/config';
import { isoTime } from '#platform/database';
import type { Forge } from './forge.ts';
import { github } from './github.ts';
import { gitlab } from './gitlab.ts';

/** A row of `forges`. */
export interface ForgeRow {
  readonly id: string;
  readonly project_id: string;
  readonly team_id: string;
  readonly account: string;
  readonly repository: string;
  readonly statuses: boolean;
  readonly checks: boolean;
  readonly requests: RequestPolicy;
  readonly secret_generation: number;
  readonly created_at: string;
}
export const forgeColumns = `forges.id, forges.project_id, forges.team_id, forges.account, forges.repository, forges.statuses, forges.checks, forges.requests,
  forges.secret_generation, ${isoTime('forges.created_at', 'created_at')}`;

export const forgeOf = ({ kind }: Pick<ForgeAccount, 'kind'>): Forge => ({ github, gitlab })[kind];

/** The operator's account, as long as he lets this team use it for this repository. */
export const accountOf = (
  accounts: readonly ForgeAccount[],
  { account, repository, team_id }: Pick<ForgeRow, 'account' | 'repository' | 'team_id'>,
): ForgeAccount | null =>
  accounts.find(
    ({ name, repositories, teams }) =>
      name === account &&
      (teams === null || teams.includes(team_id)) &&
      picomatch.isMatch(
        repository.toLowerCase(),
        repositories.map((glob) => glob.toLowerCase()),
      ),
  ) ?? null;

export const webhookUrl = (publicUrl: string, forgeId: string): string => `${publicUrl}/api/forges/${forgeId}/webhook`;

export interface ForgeCounts {
  readonly owed: number;
  readonly problem: string | null;
  readonly open_requests: number;
  readonly failing_requests: number;
}
export const forgeViewOf = (row: ForgeRow & ForgeCounts, kind: ForgeView['kind'], publicUrl: string): ForgeView => ({
  projectId: row.project_id,
  account: row.account,
  kind,
  repository: row.repository,
  statuses: row.statuses,
  checks: row.checks,
  requests: row.requests,
  webhookUrl: webhookUrl(publicUrl, row.id),
  hasSecret: row.secret_generation > 0,
  owed: row.owed,
  problem: row.problem,
  openRequests: row.open_requests,
  failingRequests: row.failing_requests,
  createdAt: row.created_at,
});

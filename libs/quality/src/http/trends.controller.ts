import { Controller, Get, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  checkTrend,
  type CheckTrend,
  idOf,
  timestamp,
  trendBuckets,
  trendGroups,
  verificationTrend,
  type VerificationTrend,
} from '@muster/contracts';
import { z } from 'zod';
import type { Actor } from '#messages/auth';
import { CurrentActor, Requires, visibleProjects } from '#platform/http';
import { ShowCheckTrend, ShowVerificationTrend } from '../queries/show-trends.ts';

const trendQuery = z.strictObject({
  projectId: idOf('project').optional(),
  agent: z.string().max(200).optional(),
  version: z.string().max(200).optional(),
  from: timestamp.optional().describe('default: thirty days ago'),
  to: timestamp.optional(),
  bucket: z.enum(trendBuckets).default('day'),
  by: z
    .string()
    .regex(
      /^(project|agent|version)(,(project|agent|version)){0,2}$/,
      `must be some of ${trendGroups.join(', ')}, with commas`,
    )
    .optional()
    .describe('what the points are told apart by besides their time: some of project, agent, version, with commas'),
});
const checkQuery = trendQuery.extend({ check: z.string().max(100).optional() });

@ApiTags('verifications')
@Controller('api/quality')
export class TrendsController {
  constructor(private readonly queries: QueryBus) {}

  @Get('trends')
  @Requires('verification.read')
  @ApiOperation({ summary: 'How verifications went over time, by project, agent and version' })
  @ApiResponse({ status: 200, standardSchema: verificationTrend })
  verifications(
    @Query({ schema: trendQuery }) query: z.output<typeof trendQuery>,
    @CurrentActor() actor: Actor,
  ): Promise<VerificationTrend> {
    return this.queries.execute(new ShowVerificationTrend({ ...query, ...seenBy(actor), by: groupsOf(query.by) }));
  }

  @Get('checks')
  @Requires('verification.read')
  @ApiOperation({ summary: 'What each check saw over time, with the means of what it measures' })
  @ApiResponse({ status: 200, standardSchema: checkTrend })
  checks(
    @Query({ schema: checkQuery }) query: z.output<typeof checkQuery>,
    @CurrentActor() actor: Actor,
  ): Promise<CheckTrend> {
    return this.queries.execute(new ShowCheckTrend({ ...query, ...seenBy(actor), by: groupsOf(query.by) }));
  }
}

const seenBy = (actor: Actor): { teamId: string; visible: string[] | 'all' } => ({
  teamId: actor.teamId,
  visible: visibleProjects(actor, 'verification.read'),
});

const groupsOf = (by: string | undefined): (typeof trendGroups)[number][] =>
  trendGroups.filter((group) => by?.split(',').includes(group));

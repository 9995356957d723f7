import { Body, Controller, Get, HttpCode, Param, Post, Put, Query, Res, StreamableFile } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBody, ApiConsumes, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  artefactMediaType,
  artefactName,
  idOf,
  verificationArtefact,
  type VerificationArtefact,
  type VerificationCheck,
  verificationChecks,
  type VerificationLog,
  verificationLog,
  verificationLogQuery,
  type VerificationReport,
  verificationReport,
} from '@muster/contracts';
import { toSarif } from '@muster/gate';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { FindVerification } from '#messages/quality';
import { goneSignal, NotFound, Requires } from '#platform/http';
import { KeepArtefact } from '../commands/keep-artefact.ts';
import { RecordReport } from '../commands/record-report.ts';
import { NoArtefact, NoFindings, NotFinished } from '../quality.errors.ts';
import { ListArtefacts, ReadArtefact, sarifName, sarifType } from '../queries/list-artefacts.ts';
import { ListChecks } from '../queries/list-checks.ts';
import { ReadLog } from '../queries/read-log.ts';

const verificationId = idOf('verification');
const binary = { schema: { type: 'string', format: 'binary' } } as const;
const artefactList = z.object({ items: z.array(verificationArtefact) });
const artefactQuery = z.strictObject({
  fence: z.coerce.number<string>().int(),
  check: z.string().min(1).max(100),
  mediaType: artefactMediaType,
});

/** What checks say and leave: told by the verifier while it works, read by everybody then and afterwards. */
@ApiTags('verifications')
@Controller('api/verifications/:verificationId')
export class ReportsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get('checks')
  @Requires('verification.read')
  @ApiOperation({ summary: 'Where each check is, while it runs and afterwards' })
  @ApiResponse({ status: 200, standardSchema: verificationChecks })
  checks(
    @Param('verificationId', { schema: verificationId }) id: string,
  ): Promise<{ items: VerificationCheck[]; finished: boolean }> {
    return this.queries.execute(new ListChecks(id));
  }

  @Get('logs')
  @Requires('verification.read')
  @ApiOperation({
    summary: 'What checks printed, while they run and afterwards',
    description:
      'Read on with `after: position`. With `waitSeconds` the request stays open until there is more. `verification.logged` in the event stream tells of each growth.',
  })
  @ApiResponse({ status: 200, standardSchema: verificationLog })
  logs(
    @Param('verificationId', { schema: verificationId }) id: string,
    @Query({ schema: verificationLogQuery }) query: z.output<typeof verificationLogQuery>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<VerificationLog> {
    return this.queries.execute(new ReadLog(id, query, goneSignal(reply)));
  }

  @Get('artefacts')
  @Requires('verification.read')
  @ApiOperation({ summary: 'What checks left: findings as SARIF, results of tests, coverage, SBOM, long logs' })
  @ApiResponse({ status: 200, standardSchema: artefactList })
  artefacts(
    @Param('verificationId', { schema: verificationId }) id: string,
  ): Promise<{ readonly items: VerificationArtefact[] }> {
    return this.queries.execute(new ListArtefacts(id));
  }

  @Get('artefacts/:name')
  @Requires('verification.read')
  @ApiResponse({ status: 200, content: { 'application/octet-stream': binary } })
  async artefact(
    @Param('verificationId', { schema: verificationId }) id: string,
    @Param('name', { schema: artefactName }) name: string,
  ): Promise<StreamableFile> {
    const { mediaType, bytes } = await (name === sarifName
      ? this.sarif(id)
      : this.queries.execute(new ReadArtefact(id, name)));
    // Whatever it holds is a stranger's: it is saved, never shown as a page of ours.
    return new StreamableFile(bytes, { type: mediaType, disposition: `attachment; filename="${name}"` });
  }

  @Post('report')
  @HttpCode(204)
  @Requires('system.verify')
  @ApiOperation({ summary: 'For the verifier: what was printed and which checks have ended since the last report' })
  async report(
    @Param('verificationId', { schema: verificationId }) id: string,
    @Body({ schema: verificationReport }) body: VerificationReport,
  ): Promise<void> {
    await this.commands.execute(new RecordReport(id, body));
  }

  @Put('artefacts/:name')
  @HttpCode(204)
  @Requires('system.verify')
  @ApiOperation({ summary: 'For the verifier: something that a check left' })
  @ApiConsumes('application/octet-stream')
  @ApiBody(binary)
  async keep(
    @Param('verificationId', { schema: verificationId }) id: string,
    @Param('name', { schema: artefactName }) name: string,
    @Query({ schema: artefactQuery }) query: z.output<typeof artefactQuery>,
    @Body() body: unknown,
  ): Promise<void> {
    if (!Buffer.isBuffer(body)) throw new NoArtefact();
    await this.commands.execute(new KeepArtefact(id, { ...query, name }, body));
  }

  private async sarif(id: string): Promise<{ mediaType: string; bytes: Buffer }> {
    const found = await this.queries.execute(new FindVerification(id));
    if (found === null) throw new NotFound();
    if (found.state !== 'finished') throw new NotFinished();
    if (found.facts === null) throw new NoFindings();
    return { mediaType: sarifType, bytes: Buffer.from(JSON.stringify(toSarif(found.facts), null, 2)) };
  }
}

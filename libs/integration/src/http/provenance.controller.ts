import { Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  type AuditReport,
  auditReport,
  idOf,
  type ProvenanceKey,
  provenanceKey,
  type ProvenanceKeys,
  provenanceKeys,
  type TrustPolicy,
  trustPolicy,
} from '@muster/contracts';
import type { Actor } from '#messages/auth';
import { CurrentActor, Public, Requires } from '#platform/http';
import { RotateProvenanceKey } from '../commands/rotate-provenance-key.ts';
import { TellAudit } from '../commands/tell-audit.ts';
import { AuditProject } from '../queries/audit-project.ts';
import { ExportTrust } from '../queries/export-trust.ts';
import { ListProvenanceKeys } from '../queries/list-provenance-keys.ts';

const projectId = idOf('project');

@ApiTags('provenance')
@Controller('api')
export class ProvenanceController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get('projects/:projectId/audit')
  @Requires('audit.read')
  @ApiResponse({ status: 200, standardSchema: auditReport })
  audit(@Param('projectId', { schema: projectId }) id: string): Promise<AuditReport> {
    return this.queries.execute(new AuditProject(id));
  }

  @Post('projects/:projectId/audit')
  @HttpCode(200)
  @Requires('audit.read')
  @ApiOperation({ summary: 'Audits as GET does, and tells the stream: landing.audit_passed or landing.audit_failed' })
  @ApiResponse({ status: 200, standardSchema: auditReport })
  tellAudit(@CurrentActor() actor: Actor, @Param('projectId', { schema: projectId }) id: string): Promise<AuditReport> {
    return this.commands.execute(new TellAudit(id, actor.id));
  }

  @Get('projects/:projectId/trust')
  @Requires('audit.read')
  @ApiResponse({ status: 200, standardSchema: trustPolicy })
  trust(@Param('projectId', { schema: projectId }) id: string): Promise<TrustPolicy> {
    return this.queries.execute(new ExportTrust(id));
  }

  @Get('provenance/keys')
  @Public()
  @ApiResponse({ status: 200, standardSchema: provenanceKeys })
  keys(): Promise<ProvenanceKeys> {
    return this.queries.execute(new ListProvenanceKeys());
  }

  @Post('provenance/keys')
  @HttpCode(201)
  @Requires('provenance.rotate')
  @ApiResponse({ status: 201, standardSchema: provenanceKey })
  rotate(): Promise<ProvenanceKey> {
    return this.commands.execute(new RotateProvenanceKey());
  }
}

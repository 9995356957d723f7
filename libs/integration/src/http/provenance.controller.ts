import { Controller, Get, Param } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiResponse, ApiTags } from '@nestjs/swagger';
import { type AuditReport, auditReport, idOf } from '@muster/contracts';
import { z } from 'zod';
import { Public, Requires } from '#platform/http';
import { AuditProject } from '../queries/audit-project.ts';
import { ListProvenanceKeys, type ProvenanceKeys } from '../queries/list-provenance-keys.ts';

const projectId = idOf('project');
const provenanceKeys = z
  .object({ keys: z.array(z.object({ keyId: z.string(), algorithm: z.literal('ed25519'), pem: z.string() })) })
  .meta({ id: 'ProvenanceKeys' });

@ApiTags('provenance')
@Controller('api')
export class ProvenanceController {
  constructor(private readonly queries: QueryBus) {}

  @Get('projects/:projectId/audit')
  @Requires('audit.read')
  @ApiResponse({ status: 200, standardSchema: auditReport })
  audit(@Param('projectId', { schema: projectId }) id: string): Promise<AuditReport> {
    return this.queries.execute(new AuditProject(id));
  }

  @Get('provenance/keys')
  @Public()
  @ApiResponse({ status: 200, standardSchema: provenanceKeys })
  keys(): Promise<ProvenanceKeys> {
    return this.queries.execute(new ListProvenanceKeys());
  }
}

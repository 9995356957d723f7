import { invariantReport, type InvariantReport } from '@muster/contracts';
import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Actor } from '#messages/auth';
import { CurrentActor, Requires } from '#platform/http';
import { Invariants } from '#platform/invariants';

@ApiTags('doctor')
@Controller('api/doctor')
export class DoctorController {
  constructor(private readonly invariants: Invariants) {}

  @Get('invariants')
  @Requires('invariants.read')
  @ApiOperation({ summary: 'Check every promise about what is stored; reads whole tables' })
  @ApiResponse({ status: 200, standardSchema: invariantReport })
  check(@CurrentActor() actor: Actor): Promise<InvariantReport> {
    return this.invariants.check(actor.teamId);
  }
}

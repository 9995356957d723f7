import { Body, Controller, Get, Headers, HttpCode, Ip, Post } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiResponse, ApiTags } from '@nestjs/swagger';
import { changePassword, login, refresh, tokens, type Tokens, whoAmI, type WhoAmI } from '@muster/contracts';
import type { z } from 'zod';
import { type Actor, Authenticator } from '#messages/auth';
import { credentialOf, CurrentActor, NotAuthenticated, Public, Requires } from '#platform/http';
import { ChangePassword } from '../commands/change-password.ts';
import { LogIn } from '../commands/log-in.ts';
import { LogOut } from '../commands/log-out.ts';
import { RefreshSession } from '../commands/refresh-session.ts';

@ApiTags('auth')
@Controller('api/auth')
export class AuthController {
  constructor(
    private readonly commands: CommandBus,
    private readonly authenticator: Authenticator,
  ) {}

  @Post('login')
  @HttpCode(200)
  @Public()
  @ApiResponse({ status: 200, standardSchema: tokens })
  logIn(@Body({ schema: login }) body: z.output<typeof login>, @Ip() address: string): Promise<Tokens> {
    return this.commands.execute(new LogIn(body.email, body.password, address));
  }

  @Post('refresh')
  @HttpCode(200)
  @Public()
  @ApiResponse({ status: 200, standardSchema: tokens })
  refresh(@Body({ schema: refresh }) body: z.output<typeof refresh>): Promise<Tokens> {
    return this.commands.execute(new RefreshSession(body.refreshToken));
  }

  @Post('logout')
  @HttpCode(204)
  @Public()
  logOut(@Body({ schema: refresh }) body: z.output<typeof refresh>): Promise<void> {
    return this.commands.execute(new LogOut(body.refreshToken));
  }

  /** Open to every credential, whatever it may do: so it looks at the credential itself. */
  @Get('me')
  @Public()
  @ApiResponse({ status: 200, standardSchema: whoAmI })
  async me(@Headers('authorization') authorization?: string): Promise<WhoAmI> {
    const credential = credentialOf(authorization);
    const actor = credential === null ? null : await this.authenticator.authenticate(credential);
    if (actor === null) throw new NotAuthenticated();
    const { kind, id, name, teamId, permissions, projects, onlyProjectId } = actor;
    const held = onlyProjectId === null ? permissions : (projects.get(onlyProjectId) ?? permissions);
    return { kind, id, name, teamId, permissions: [...held].sort() };
  }

  @Post('password')
  @HttpCode(200)
  @Requires('team.read', { scope: 'any' })
  @ApiResponse({ status: 200, standardSchema: tokens })
  changePassword(
    @Body({ schema: changePassword }) body: z.output<typeof changePassword>,
    @CurrentActor() actor: Actor,
    @Ip() address: string,
  ): Promise<Tokens> {
    return this.commands.execute(new ChangePassword(actor, body.currentPassword, body.newPassword, address));
  }
}

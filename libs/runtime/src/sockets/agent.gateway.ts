import { Logger } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { WebSocketGateway } from '@nestjs/websockets';
import type { WebSocket } from 'ws';
import type { Actor } from '#messages/auth';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Requires, SocketGateway } from '#platform/http';
import { CompleteAttemptHandler } from '../commands/complete-attempt.ts';
import { Dispatcher } from '../dispatch/dispatcher.ts';
import { InstanceOrders } from '../dispatch/instance-orders.ts';
import { Lanes } from '../dispatch/lanes.ts';
import type { InstanceRow } from '../domain/task-row.ts';
import { heldBy, type OpenAttempt } from '../sql/leases.ts';
import { AgentSession } from './agent-session.ts';

/** `GET /api/runtime/connect`: where agents connect. */
@WebSocketGateway({ path: '/api/runtime/connect' })
@Requires('instance.connect')
export class AgentGateway extends SocketGateway {
  private readonly log = new Logger('agent-socket');
  private readonly sessions = new Set<AgentSession>();

  constructor(
    private readonly commands: CommandBus,
    private readonly database: Database,
    private readonly dispatcher: Dispatcher,
    private readonly config: Config,
    private readonly lanes: Lanes,
    private readonly orders: InstanceOrders,
    private readonly completeAttempt: CompleteAttemptHandler,
  ) {
    super();
  }

  protected override onConnection(socket: WebSocket, actor: Actor): void {
    const session = new AgentSession(socket, actor, {
      commands: this.commands,
      dispatcher: this.dispatcher,
      leaseSeconds: this.config.leaseSeconds,
      complete: (command) => this.completeAttempt.execute(command),
      capabilityOf: (lane) => this.lanes.get(lane)?.capability,
      welcomed: (self, instance) => this.welcome(self, instance),
      warn: (error, message) => this.log.warn({ err: error }, message),
    });
    this.sessions.add(session);
    socket.once('close', () => {
      this.sessions.delete(session);
      this.orders.remove(session);
    });
  }

  override async onDrain(): Promise<void> {
    await this.dispatcher.stop();
    for (const session of this.sessions) session.drain('the server is going away; reconnect and resume');
  }

  private welcome(self: AgentSession, instance: InstanceRow): Promise<OpenAttempt[]> {
    this.orders.add(self);
    for (const other of this.sessions) if (other !== self && other.instanceId === instance.id) other.replace();
    return heldBy(this.database, instance.id);
  }
}

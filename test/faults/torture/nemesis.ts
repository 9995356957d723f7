import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from './fault-plan.ts';
import { Onlooker, type AgentProcess, type Ground, type ServerProcess } from './ground.ts';
import type { LeaseWatch } from './lease-watch.ts';
import type { Random } from './random.ts';

type Victim =
  { readonly kind: 'agent'; readonly of: AgentProcess } | { readonly kind: 'server'; readonly of: ServerProcess };

/** Does what the plan says to whoever holds a lease at that moment. */
export class Nemesis {
  kills = 0;
  pauses = 0;
  serverKills = 0;
  serverPauses = 0;
  terminatedBackends = 0;
  postgresRestarts = 0;
  clockSteps = 0;
  databaseClockSteps = 0;
  /** Leases that the victims of kills and pauses held when they were hit. */
  leasesHit = 0;
  victims = 0;
  /** Nobody held a lease within a second: nobody was hit. */
  spared = 0;
  lastFaultAtMs = 0;
  /** What was done, when, to whom, and for how long. */
  readonly done: { readonly atMs: number; readonly endMs: number; readonly fault: string; readonly victim?: string }[] =
    [];

  /** Faults that could not be done. */
  readonly failed: string[] = [];

  readonly #ground: Ground;
  readonly #watch: LeaseWatch;
  readonly #onlooker: Onlooker;
  readonly #agentOfInstance: (instanceId: string) => string | undefined;
  readonly #random: Random;
  readonly #say: (text: string) => void;

  constructor(parts: {
    ground: Ground;
    watch: LeaseWatch;
    onlooker: Onlooker;
    agentOfInstance: (instanceId: string) => string | undefined;
    random: Random;
    say: (text: string) => void;
  }) {
    this.#ground = parts.ground;
    this.#watch = parts.watch;
    this.#onlooker = parts.onlooker;
    this.#agentOfInstance = parts.agentOfInstance;
    this.#random = parts.random;
    this.#say = parts.say;
  }

  async run(plan: readonly Fault[], startedAtMs: number): Promise<void> {
    const lasting: Promise<void>[] = [];
    for (const fault of plan) {
      await sleep(Math.max(0, startedAtMs + fault.atMs - Date.now()));
      const atMs = Date.now();
      lasting.push(
        this.#strike(fault)
          .then(
            (victim) =>
              void this.done.push({
                atMs,
                endMs: Date.now(),
                fault: fault.kind,
                ...(victim === undefined ? {} : { victim }),
              }),
          )
          .catch((error: unknown) => {
            this.failed.push(`${fault.kind} failed: ${String(error)}`);
            this.#say(this.failed.at(-1) ?? '');
          })
          .finally(() => (this.lastFaultAtMs = Math.max(this.lastFaultAtMs, Date.now()))),
      );
    }
    await Promise.all(lasting);
  }

  /** Answers whom it hit. */
  async #strike(fault: Fault): Promise<string | undefined> {
    switch (fault.kind) {
      case 'kill': {
        const victim = await this.#victim(fault.victim);
        if (victim === null) return undefined;
        victim.of.keeper.kill();
        this.kills += 1;
        if (victim.kind === 'server') this.serverKills += 1;
        return victim.of.name;
      }
      case 'pause': {
        const victim = await this.#victim(fault.victim);
        if (victim === null) return undefined;
        this.pauses += 1;
        if (victim.kind === 'server') this.serverPauses += 1;
        await victim.of.keeper.pause(fault.forMs);
        return victim.of.name;
      }
      case 'terminate backends':
        for (let round = 0; round < fault.rounds; round += 1) {
          await this.#terminate();
          await sleep(150);
        }
        return undefined;
      case 'restart postgres':
        await this.#ground.restartPostgres();
        this.postgresRestarts += 1;
        return undefined;
      case 'step wall clock': {
        const whose = this.#random.pick(
          [...this.#ground.agents, ...this.#ground.servers].filter(({ clock }) => clock !== null),
        );
        if (whose?.clock === undefined || whose.clock === null) return undefined;
        await whose.clock.step(fault.bySeconds);
        this.clockSteps += 1;
        return whose.name;
      }
      case 'step database clock': {
        const name = new URL(this.#ground.databaseUrl).pathname.slice(1);
        const statement = `alter database ${name} set muster.now_offset = '${fault.bySeconds} seconds'`;
        // PostgreSQL may be starting at this moment.
        for (let tries = 0; (await this.#onlooker.query(statement)) === null; tries += 1) {
          if (tries >= 40) throw new Error('PostgreSQL did not answer');
          await sleep(250);
        }
        this.databaseClockSteps += 1;
        // Sessions read the setting when they begin.
        await this.#terminate();
        this.#onlooker.forget();
        return undefined;
      }
      case 'flush redis':
        await this.#ground.redis?.flush();
        return undefined;
      case 'kill redis':
        await this.#ground.redis?.kill();
        return undefined;
    }
  }

  async #terminate(): Promise<void> {
    const rows = await this.#onlooker.query<{ ended: boolean }>(
      `select pg_terminate_backend(pid) as ended from pg_stat_activity
       where backend_type = 'client backend' and application_name <> 'onlooker' and pid <> pg_backend_pid()`,
    );
    this.terminatedBackends += rows?.filter(({ ended }) => ended).length ?? 0;
  }

  /** One that holds a lease now: an agent that works on a task, or a server over which such an agent is connected. */
  async #victim(kind: 'agent' | 'server'): Promise<Victim | null> {
    for (const end = Date.now() + 1000; Date.now() < end; await sleep(50)) {
      const held = await this.#watch.look();
      const byAgent = new Map<string, number>();
      for (const { instanceId } of held) {
        const name = this.#agentOfInstance(instanceId);
        if (name !== undefined) byAgent.set(name, (byAgent.get(name) ?? 0) + 1);
      }
      const holding = this.#ground.agents.filter(({ name, keeper }) => keeper.running && byAgent.has(name));
      const leasesOf = (agents: readonly AgentProcess[]): number =>
        agents.reduce((sum, { name }) => sum + (byAgent.get(name) ?? 0), 0);
      const servers = this.#ground.servers
        .filter(({ ready, keeper }) => ready && keeper.running)
        .map((server) => ({ server, leases: leasesOf(holding.filter(({ door }) => door.last === server.name)) }))
        .filter(({ leases }) => leases > 0);
      // One server stays: with none there is nobody to prove anything about.
      const ready = this.#ground.servers.filter((server) => server.ready && server.keeper.running).length;
      const server = kind === 'server' && ready > 1 ? this.#random.pick(servers) : undefined;
      const agent = server === undefined ? this.#random.pick(holding) : undefined;
      if (server !== undefined) {
        this.#hit(server.leases);
        return { kind: 'server', of: server.server };
      }
      if (agent !== undefined) {
        this.#hit(leasesOf([agent]));
        return { kind: 'agent', of: agent };
      }
    }
    this.spared += 1;
    return null;
  }

  #hit(leases: number): void {
    this.victims += 1;
    this.leasesHit += leases;
  }
}

import { keptLogCharacters, type VerificationReport } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Tx } from '#kernel';
import { LeaseGuard } from '#messages/runtime';
import { Database, storable } from '#platform/database';
import { type HeldVerification, holdVerification } from '../domain/held-verification.ts';
import { tellChecks } from './tell-checks.ts';

/** What checks printed since the last report, and which have ended. Telling it again changes nothing. */
export class RecordReport extends Command<void> {
  constructor(
    readonly verificationId: string,
    readonly report: VerificationReport,
  ) {
    super();
  }
}

@CommandHandler(RecordReport)
export class RecordReportHandler implements ICommandHandler<RecordReport> {
  constructor(
    private readonly database: Database,
    private readonly guard: LeaseGuard,
  ) {}

  async execute({ verificationId, report }: RecordReport): Promise<void> {
    await this.database.transaction(async (tx) => {
      const held = await holdVerification(tx, this.guard, verificationId, report.fence);
      if (report.log.length > 0) await keepLog(tx, held, report.log);
      await tellChecks(tx, held, report.checks);
    });
  }
}

async function keepLog(tx: Tx, held: HeldVerification, log: VerificationReport['log']): Promise<void> {
  const known = await tx.sql<{ name: string; characters: number; kept: number }>(
    `select name, log_characters::float8 as characters, log_kept as kept from verification_checks
     where verification_id = $1 and name = any ($2::text[])`,
    [held.id, log.map(({ check }) => check)],
  );
  const so = new Map(known.map(({ name, characters, kept }) => [name, { characters, kept }]));
  const pieces: { name: string; text: string }[] = [];
  const grown = new Map<string, number>();
  for (const { check, at, text } of log) {
    const before = so.get(check) ?? { characters: 0, kept: 0 };
    // Somebody who did not hear our answer tells it again.
    const fresh = text.slice(Math.max(0, before.characters - at));
    if (fresh === '') continue;
    const lost = Math.max(0, at - before.characters);
    const said = lost > 0 ? `[${lost} characters did not arrive]\n${fresh}` : fresh;
    const kept = said.slice(0, Math.max(0, keptLogCharacters - before.kept));
    if (kept !== '') pieces.push({ name: check, text: storable(kept) });
    so.set(check, { characters: before.characters + lost + fresh.length, kept: before.kept + kept.length });
    grown.set(check, (grown.get(check) ?? 0) + fresh.length);
  }
  if (grown.size === 0) return;
  await tx.sql(
    `insert into verification_logs (verification_id, position, name, text, at)
     select $1, $2 + ordinality, p.name, p.text, clock_timestamp()
     from unnest($3::text[], $4::text[]) with ordinality as p(name, text, ordinality)`,
    [held.id, held.log_position, pieces.map(({ name }) => name), pieces.map(({ text }) => text)],
  );
  await tx.sql(`update verifications set log_position = log_position + $2 where id = $1`, [held.id, pieces.length]);
  const names = [...grown.keys()];
  await tx.sql(
    `insert into verification_checks (verification_id, name, log_characters, log_kept)
     select $1, g.name, g.characters, g.kept from unnest($2::text[], $3::bigint[], $4::int[]) as g(name, characters, kept)
     on conflict (verification_id, name) do update set log_characters = excluded.log_characters, log_kept = excluded.log_kept`,
    [held.id, names, names.map((name) => so.get(name)?.characters ?? 0), names.map((name) => so.get(name)?.kept ?? 0)],
  );
  tx.append({
    type: 'verification.logged',
    teamId: held.team_id,
    projectId: held.project_id,
    subject: held.id,
    priority: 'low',
    data: {
      verificationId: held.id,
      subjectId: held.subject_id,
      checks: Object.fromEntries(grown),
      position: held.log_position + pieces.length,
    },
  });
}

import type { VerificationLog } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database, isoTime } from '#platform/database';
import { EventLog } from '#platform/eventlog';
import { NotFound } from '#platform/http';

/** One answer carries this much, however many pieces that is. */
const answerCharacters = 512 * 1024;
const lookEveryMs = 1_000;

/** What checks printed after a position; the request stays open for a while where there is nothing yet. */
export class ReadLog extends Query<VerificationLog> {
  constructor(
    readonly verificationId: string,
    readonly wanted: {
      readonly check?: string | undefined;
      readonly after: number;
      readonly limit: number;
      readonly tail?: number | undefined;
      readonly waitSeconds: number;
    },
    readonly gone: AbortSignal,
  ) {
    super();
  }
}

interface Piece {
  readonly position: number;
  readonly check: string;
  readonly text: string;
  readonly at: string;
}

@QueryHandler(ReadLog)
export class ReadLogHandler implements IQueryHandler<ReadLog> {
  constructor(
    private readonly database: Database,
    private readonly events: EventLog,
  ) {}

  async execute({ verificationId, wanted, gone }: ReadLog): Promise<VerificationLog> {
    const until = performance.now() + wanted.waitSeconds * 1000;
    for (;;) {
      const advanced = this.nextAdvance(gone);
      try {
        // First whether it has finished: what is read afterwards is then all that there is.
        const [of] = await this.database.sql<{ finished: boolean; position: number }>(
          `select state = 'finished' as finished, log_position::float8 as position from verifications where id = $1`,
          [verificationId],
        );
        if (of === undefined) throw new NotFound();
        const read =
          wanted.tail === undefined
            ? await this.after(verificationId, wanted)
            : await this.last(verificationId, wanted.check, wanted.tail);
        const position = read.more
          ? (read.items.at(-1)?.position ?? wanted.after)
          : Math.max(of.position, wanted.after, read.items.at(-1)?.position ?? 0);
        const left = until - performance.now();
        if (read.items.length > 0 || of.finished || left <= 0 || gone.aborted || wanted.tail !== undefined) {
          const items = read.items.map(({ check, at, text, position: own }) => ({ check, at, text, position: own }));
          return { items, position, more: read.more, finished: of.finished && !read.more };
        }
        await advanced.within(Math.min(left, lookEveryMs));
      } finally {
        advanced.end();
      }
    }
  }

  private async after(
    verificationId: string,
    { check, after, limit }: ReadLog['wanted'],
  ): Promise<{ items: Piece[]; more: boolean }> {
    const rows = await this.database.sql<Piece & { so_far: number }>(
      `select * from (
         select position::float8 as position, name as "check", text, ${isoTime('at')},
           sum(length(text)) over (order by position)::float8 as so_far
         from (select * from verification_logs where verification_id = $1 and position > $2 and ($3::text is null or name = $3)
               order by position limit $4) page) sized
       order by position`,
      [verificationId, after, check ?? null, limit + 1],
    );
    const items = rows.filter(({ so_far }, index) => index === 0 || (index < limit && so_far <= answerCharacters));
    return { items, more: items.length < rows.length };
  }

  /** The last lines of what is kept, of one check or of all in the order in which they came. */
  private async last(
    verificationId: string,
    check: string | undefined,
    lines: number,
  ): Promise<{ items: Piece[]; more: boolean }> {
    const items: Piece[] = [];
    let have = 0;
    let characters = 0;
    for (let before = Number.MAX_SAFE_INTEGER; have < lines && characters < answerCharacters;) {
      const [piece] = await this.database.sql<Piece>(
        `select position::float8 as position, name as "check", text, ${isoTime('at')} from verification_logs
         where verification_id = $1 and position < $2 and ($3::text is null or name = $3) order by position desc limit 1`,
        [verificationId, before, check ?? null],
      );
      if (piece === undefined) break;
      before = piece.position;
      const own = piece.text.split(/(?<=\n)/).slice(-(lines - have));
      have += own.length;
      const text = own.join('');
      characters += text.length;
      items.unshift({ ...piece, text });
    }
    return { items, more: false };
  }

  /** Listens before the look, so that what comes in between is not slept through. */
  private nextAdvance(gone: AbortSignal): { within: (ms: number) => Promise<void>; end: () => void } {
    let come = false;
    let wake = (): void => undefined;
    const tell = (): void => {
      come = true;
      wake();
    };
    const off = this.events.onAdvance(tell);
    gone.addEventListener('abort', tell);
    return {
      within: (ms) =>
        new Promise((resolve) => {
          const timer = setTimeout(resolve, ms);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
          if (come) wake();
        }),
      end: () => {
        off();
        gone.removeEventListener('abort', tell);
      },
    };
  }
}

import { Injectable, Logger } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { declaredWork, type Overlap } from '@muster/contracts';
import { FindOverlaps } from '#messages/integration';

/** It is a hint: tasks do not wait longer for it. */
const PATIENCE_MS = 1_000;
const AT_ONCE = 4;

export interface Declaring {
  readonly id: string;
  readonly projectId: string;
  /** As JSON. */
  readonly input: string;
}

/** Which changes on their way touch what a task says it will touch: told with the task, and to whoever asks about it. */
@Injectable()
export class OpenWork {
  private readonly log = new Logger(OpenWork.name);

  constructor(private readonly queries: QueryBus) {}

  /** Of tasks that are about to be handed out, as far as it can be told in time. Most name no paths and are not even parsed. */
  async aheadOf(tasks: readonly Declaring[]): Promise<ReadonlyMap<string, readonly Overlap[]>> {
    const found = new Map<string, readonly Overlap[]>();
    const declaring = tasks.filter(({ input }) => input.includes('"paths"'));
    if (declaring.length === 0) return found;
    let timer: NodeJS.Timeout | undefined;
    let late = false;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS);
    });
    const rest = declaring.values();
    const asked = Array.from({ length: AT_ONCE }, async () => {
      for (const { id, projectId, input } of rest) {
        const overlaps = await this.of(projectId, id, JSON.parse(input));
        if (late) return;
        if (overlaps.length > 0) found.set(id, overlaps);
      }
    });
    try {
      await Promise.race([Promise.all(asked), patience]);
    } catch (error) {
      this.log.warn(`What tasks may conflict with could not be told: ${String(error)}`);
    } finally {
      late = true;
      clearTimeout(timer);
    }
    return found;
  }

  async of(projectId: string, taskId: string, input: unknown): Promise<readonly Overlap[]> {
    const { data } = declaredWork.pick({ paths: true }).safeParse(input);
    if (data?.paths == null || data.paths.length === 0) return [];
    return await this.queries.execute(new FindOverlaps(projectId, taskId, data.paths));
  }
}

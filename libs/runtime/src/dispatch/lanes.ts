import { Injectable } from '@nestjs/common';
import { Database } from '#platform/database';
import { laneId, lanesById, type Lane, type LaneKey } from '../sql/lanes.ts';

/** Lanes that a process remembers; others are read again when they are needed. */
const remembered = 20_000;

/** The lanes by what they stand for and by their number. They never change, so they are remembered for good. */
@Injectable()
export class Lanes {
  private readonly byKey = new Map<string, Lane>();
  private readonly byId = new Map<number, Lane>();

  constructor(private readonly database: Database) {}

  /** The lane for such tasks; made when nobody has asked for one before. */
  async of(key: LaneKey): Promise<Lane> {
    const text = textOf(key);
    const known = this.byKey.get(text);
    if (known !== undefined) return known;
    for (;;) {
      const id = await laneId(this.database, key);
      if (id === null) continue;
      const lane = { ...key, id };
      this.remember(lane, text);
      return lane;
    }
  }

  get(id: number): Lane | undefined {
    return this.byId.get(id);
  }

  /** Those of the numbers that are lanes. */
  async all(ids: readonly number[]): Promise<Map<number, Lane>> {
    const unknown = ids.filter((id) => !this.byId.has(id));
    if (unknown.length > 0)
      for (const lane of await lanesById(this.database, unknown)) this.remember(lane, textOf(lane));
    const found = new Map<number, Lane>();
    for (const id of ids) {
      const lane = this.byId.get(id);
      if (lane !== undefined) found.set(id, lane);
    }
    return found;
  }

  private remember(lane: Lane, text: string): void {
    if (this.byId.size >= remembered) {
      for (const [oldest, gone] of this.byId) {
        this.byId.delete(oldest);
        this.byKey.delete(textOf(gone));
        break;
      }
    }
    this.byId.set(lane.id, lane);
    this.byKey.set(text, lane);
  }
}

function textOf(key: LaneKey): string {
  const plain = `${key.teamId} ${key.projectId} ${key.capability} ${key.priority}`;
  const labels = Object.keys(key.labels);
  if (key.agentWish === null && key.unfitAgents.length === 0 && labels.length === 0 && !key.sticky) return plain;
  return `${plain} ${JSON.stringify([key.agentWish, key.agentRange, key.sticky, key.unfitAgents, labels.sort().map((name) => [name, key.labels[name]])])}`;
}

import { Tracking } from './tracking';

export interface Row {
  number: string;
  country: string;
  grams: number;
  sender: string;
}

export interface Database {
  query(sql: string, values: readonly unknown[]): Promise<readonly Row[]>;
}

export class ParcelStore {
  private readonly tracked = new Map<string, Tracking>();

  constructor(private readonly database: Database) {}

  async find(number: string): Promise<Row | null> {
    const rows = await this.database.query('select * from parcels where number = $1', [number]);
    return rows[0] ?? null;
  }

  async bySender(sender: string, limit = 50): Promise<readonly Row[]> {
    const most = Math.min(Math.max(1, limit), 500);
    return await this.database.query('select * from parcels where sender = $1 order by number limit $2', [sender, most]);
  }

  tracking(number: string): Tracking {
    let tracking = this.tracked.get(number);
    if (tracking === undefined) this.tracked.set(number, (tracking = new Tracking(number)));
    return tracking;
  }
}

export type State = 'announced' | 'collected' | 'moving' | 'delivered' | 'returned' | 'lost';

const next: Record<State, readonly State[]> = {
  announced: ['collected'],
  collected: ['moving', 'lost'],
  moving: ['moving', 'delivered', 'returned', 'lost'],
  delivered: [],
  returned: [],
  lost: ['moving'],
};

export interface Scan {
  at: number;
  state: State;
  place: string;
}

export class Tracking {
  private readonly scans: Scan[] = [];

  constructor(readonly number: string) {}

  get state(): State {
    return this.scans.at(-1)?.state ?? 'announced';
  }

  record(scan: Scan): void {
    if (!next[this.state].includes(scan.state)) throw new Error(`${this.number} is ${this.state} and cannot be ${scan.state}.`);
    const last = this.scans.at(-1);
    if (last !== undefined && scan.at < last.at) throw new Error('A scan cannot be older than the one before it.');
    this.scans.push(scan);
  }

  history(): readonly Scan[] {
    return [...this.scans];
  }

  isOpen(): boolean {
    return next[this.state].length > 0;
  }
}

export function trackingNumber(serial: number): string {
  const digits = String(serial).padStart(8, '0');
  const weights = [8, 6, 4, 2, 3, 5, 9, 7];
  const sum = weights.reduce((total, weight, at) => total + weight * Number(digits[at]), 0);
  const rest = 11 - (sum % 11);
  return `RR${digits}${rest === 10 ? 0 : rest === 11 ? 5 : rest}SE`;
}

import { Injectable } from '@nestjs/common';
import { Repositories } from '#platform/git';
import { type Touched, touchedBy } from './domain/overlap.ts';

/** What a change touches never changes. */
const KEPT = 2_000;

/** What changes touch, remembered: forecasts ask for the same ones over and over. */
@Injectable()
export class TouchedFiles {
  private readonly known = new Map<string, Touched>();

  constructor(private readonly repositories: Repositories) {}

  async of(projectId: string, { base, commit }: { readonly base: string; readonly commit: string }): Promise<Touched> {
    const key = `${projectId} ${base} ${commit}`;
    const touched = this.known.get(key) ?? touchedBy(await this.repositories.diffFiles(projectId, base, commit));
    const [oldest] = this.known.keys();
    if (this.known.size >= KEPT && oldest !== undefined) this.known.delete(oldest);
    this.known.set(key, touched);
    return touched;
  }
}

import { Injectable } from '@nestjs/common';
import { Repositories } from '#platform/git';
import { keep } from './domain/kept.ts';
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
    const known = this.known.get(key);
    return known ?? keep(this.known, key, touchedBy(await this.repositories.diffFiles(projectId, base, commit)), KEPT);
  }
}

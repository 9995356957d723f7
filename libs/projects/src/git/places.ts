import { Injectable } from '@nestjs/common';
import { GitBusy } from '../projects.errors.ts';

/** Clones are long: twice the processors would starve people-sized requests, hundreds would exhaust memory. */
const AT_ONCE = 24;
/** More than these wait for a place, in order; what they send stays in their sockets meanwhile. */
const WAITING = 256;

/** How many clones and pushes are served at once. */
@Injectable()
export class GitPlaces {
  private taken = 0;
  private readonly waiting: Array<() => void> = [];

  /** @returns gives the place back, once */
  async enter(): Promise<() => void> {
    if (this.taken < AT_ONCE) this.taken += 1;
    else {
      if (this.waiting.length >= WAITING) throw new GitBusy();
      // Whoever leaves hands the place on.
      await new Promise<void>((enter) => this.waiting.push(enter));
    }
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = this.waiting.shift();
      if (next === undefined) this.taken -= 1;
      else next();
    };
  }
}

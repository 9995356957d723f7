import { MusterError } from '#kernel';

export class Overloaded extends MusterError {
  constructor(what: string, waiting: number) {
    super(
      'platform.overloaded',
      503,
      `More is asked of this server at the moment than it can write down. Nothing was done: send the request again in ${retryAfterSeconds} second, and slower if that repeats.`,
      { data: { what, waiting, retryAfterSeconds } },
    );
  }
}

const retryAfterSeconds = 1;

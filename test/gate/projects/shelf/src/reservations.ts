import { plusDays, type Day } from './calendar.ts';

export interface Reservation {
  isbn: string;
  reader: string;
  since: Day;
  /** Until when a copy is kept for the reader; null while none is there. */
  heldUntil: Day | null;
}

const heldDays = 7;

/** Who waits for which book, first come, first served. */
export class Reservations {
  #waiting: Reservation[] = [];

  /** Puts a reader into the queue, once. */
  add(isbn: string, reader: string, today: Day): Reservation {
    const known = this.#waiting.find((each) => each.isbn === isbn && each.reader === reader);
    if (known !== undefined) return known;
    const reservation = { isbn, reader, since: today, heldUntil: null };
    this.#waiting.push(reservation);
    return reservation;
  }

  /** Takes a reader out of the queue; false when there was none. */
  cancel(isbn: string, reader: string): boolean {
    const before = this.#waiting.length;
    this.#waiting = this.#waiting.filter((each) => each.isbn !== isbn || each.reader !== reader);
    return this.#waiting.length < before;
  }

  /** Keeps a copy that came back for whoever waits longest. */
  hold(isbn: string, today: Day): Reservation | null {
    const first = this.#waiting.find((each) => each.isbn === isbn && each.heldUntil === null);
    if (first === undefined) return null;
    first.heldUntil = plusDays(today, heldDays);
    return first;
  }

  /** Lets go of what nobody collected, and answers it. */
  expire(today: Day): Reservation[] {
    const gone = this.#waiting.filter((each) => each.heldUntil !== null && each.heldUntil < today);
    this.#waiting = this.#waiting.filter((each) => !gone.includes(each));
    return gone;
  }

  /** The queue of a book. */
  waitingFor(isbn: string): readonly Reservation[] {
    return this.#waiting.filter((each) => each.isbn === isbn);
  }
}

import { plusDays, type Day, type Opening } from './calendar.ts';
import type { Catalogue } from './catalogue.ts';
import { ShelfError } from './errors.ts';
import { fineFor } from './fines.ts';
import { Reservations } from './reservations.ts';

export interface Loan {
  isbn: string;
  reader: string;
  due: Day;
  renewals: number;
}

const lentDays = 28;
const mostRenewals = 2;
const mostLoans = 10;

/** Where books go out and come back. */
export class Desk {
  readonly reservations = new Reservations();
  readonly #catalogue: Catalogue;
  readonly #opening: Opening;
  #loans: Loan[] = [];

  constructor(catalogue: Catalogue, opening: Opening) {
    this.#catalogue = catalogue;
    this.#opening = opening;
  }

  /** Lends a copy, if one is there that is kept for nobody else. */
  lend(isbn: string, reader: string, today: Day): Loan {
    const book = this.#catalogue.find(isbn);
    if (this.loansOf(reader).length >= mostLoans)
      throw new ShelfError('too_many_loans', `${reader} has ${mostLoans} books already; one has to come back first.`);
    const out = this.#loans.filter((each) => each.isbn === book.isbn).length;
    const kept = this.reservations
      .waitingFor(book.isbn)
      .filter((each) => each.heldUntil !== null && each.reader !== reader).length;
    if (book.copies - out - kept < 1)
      throw new ShelfError('none_left', `No copy of ${book.title} is free; it can be reserved.`);
    this.reservations.cancel(book.isbn, reader);
    const loan = { isbn: book.isbn, reader, due: plusDays(today, lentDays), renewals: 0 };
    this.#loans.push(loan);
    return loan;
  }

  /** Takes a book back; answers the fine in cents, and keeps the copy for whoever waits. */
  takeBack(isbn: string, reader: string, today: Day): number {
    const loan = this.#find(isbn, reader);
    this.#loans = this.#loans.filter((each) => each !== loan);
    this.reservations.hold(loan.isbn, today);
    return fineFor(loan.due, today, this.#opening);
  }

  /** Lends it on for another term. */
  renew(isbn: string, reader: string, today: Day): Loan {
    const loan = this.#find(isbn, reader);
    if (loan.renewals >= mostRenewals)
      throw new ShelfError('renewed_enough', `A loan is renewed ${mostRenewals} times at most.`);
    if (this.reservations.waitingFor(loan.isbn).length > 0)
      throw new ShelfError('others_wait', 'Somebody waits for this book; it has to come back.');
    loan.due = plusDays(today, lentDays);
    loan.renewals++;
    return loan;
  }

  /** What a reader has at home. */
  loansOf(reader: string): readonly Loan[] {
    return this.#loans.filter((each) => each.reader === reader);
  }

  /** Loans that should have come back before this day, the longest overdue first. */
  overdue(today: Day): readonly Loan[] {
    return this.#loans.filter((each) => each.due < today).sort((a, b) => (a.due < b.due ? -1 : 1));
  }

  #find(isbn: string, reader: string): Loan {
    const book = this.#catalogue.find(isbn);
    const loan = this.#loans.find((each) => each.isbn === book.isbn && each.reader === reader);
    if (loan === undefined) throw new ShelfError('not_lent', `${reader} has no copy of ${book.title}.`);
    return loan;
  }
}

/** Something that a reader or a librarian can put right; `code` is for programs. */
export class ShelfError extends Error {
  override readonly name = 'ShelfError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

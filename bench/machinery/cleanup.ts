/** What was started is stopped in the reverse order, whatever went wrong in between, and once only. */
export class Cleanup {
  readonly #steps: (() => Promise<unknown> | void)[] = [];

  add(step: () => Promise<unknown> | void): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop())
      await Promise.resolve(step()).catch((error: unknown) =>
        process.stderr.write(`cleaning up: ${error instanceof Error ? error.message : String(error)}\n`),
      );
  }
}

/** A link, where a draft would otherwise hold a file's text. */
export interface Link {
  to: string;
}

/** A project's files, while a case edits them. An edit that does not fit is a fault of the corpus and says so. */
export class Draft {
  readonly files: Map<string, string | Link>;

  constructor(files: ReadonlyMap<string, string | Link>) {
    this.files = new Map(files);
  }

  text(path: string): string {
    const text = this.files.get(path);
    if (typeof text !== 'string') throw new Error(`the project has no ${path}`);
    return text;
  }

  write(path: string, text: string): void {
    this.files.set(path, text);
  }

  /** Replaces what stands there exactly once. */
  edit(path: string, from: string, to: string): void {
    const text = this.text(path);
    if (text.split(from).length !== 2) throw new Error(`${path} does not hold exactly once: ${from}`);
    this.files.set(
      path,
      text.replace(from, () => to),
    );
  }

  append(path: string, text: string): void {
    this.files.set(path, this.text(path) + text);
  }

  remove(path: string): void {
    if (!this.files.delete(path)) throw new Error(`the project has no ${path}`);
  }

  rename(from: string, to: string): void {
    const text = this.text(from);
    this.remove(from);
    this.write(to, text);
  }

  link(path: string, to: string): void {
    this.files.set(path, { to });
  }

  /** Edits a JSON file. */
  json(path: string, edit: (value: Record<string, Record<string, unknown>>) => void): void {
    const value = JSON.parse(this.text(path)) as Record<string, Record<string, unknown>>;
    edit(value);
    this.write(path, `${JSON.stringify(value, null, 2)}\n`);
  }
}

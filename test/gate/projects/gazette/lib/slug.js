/**
 * A name that stands in an address: small letters, digits, hyphens.
 * @param {string} title
 */
export function slugOf(title) {
  return title
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
}

/** Gives every title a slug of its own. */
export class Slugs {
  #taken = new Set();

  /** @param {string} title */
  next(title) {
    const base = slugOf(title) || 'untitled';
    let slug = base;
    for (let n = 2; this.#taken.has(slug); n++) slug = `${base}-${n}`;
    this.#taken.add(slug);
    return slug;
  }
}

/**
 * Keeps what was asked for last, and forgets what nobody asked for longest.
 * @template V
 */
export class Cache {
  /** @type {Map<string, V>} */
  #kept = new Map();

  /** @param {number} most */
  constructor(most) {
    this.most = most;
  }

  /**
   * @param {string} key
   * @param {() => V} make
   */
  get(key, make) {
    const known = this.#kept.get(key);
    if (known !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, known);
      return known;
    }
    const value = make();
    this.#kept.set(key, value);
    if (this.#kept.size > this.most) this.#kept.delete([...this.#kept.keys()][0]);
    return value;
  }
}

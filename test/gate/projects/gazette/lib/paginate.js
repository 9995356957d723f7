/**
 * @template T
 * @param {T[]} items
 * @param {number} size
 */
export function paginate(items, size = 10) {
  if (!Number.isInteger(size) || size < 1) throw new RangeError('a page holds at least one item');
  const total = Math.max(1, Math.ceil(items.length / size));
  return Array.from({ length: total }, (_each, index) => ({
    number: index + 1,
    total,
    items: items.slice(index * size, (index + 1) * size),
    previous: index > 0 ? index : null,
    next: index + 1 < total ? index + 2 : null,
  }));
}

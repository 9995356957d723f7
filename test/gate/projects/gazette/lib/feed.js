import { escapeHtml } from './html.js';

/**
 * @typedef {{ title: string, slug: string, date: string, html: string }} Entry
 * @param {{ title: string, address: string }} site
 * @param {Entry[]} entries
 */
export function feedOf(site, entries) {
  const newest = [...entries].sort((a, b) => (a.date < b.date ? 1 : a.date > b.date ? -1 : 0)).slice(0, 20);
  const items = newest.map(
    (entry) =>
      `<entry><title>${escapeHtml(entry.title)}</title><id>${site.address}/${entry.slug}</id><updated>${entry.date}T00:00:00Z</updated>` +
      `<content type="html">${escapeHtml(entry.html)}</content></entry>`,
  );
  return `<feed xmlns="http://www.w3.org/2005/Atom"><title>${escapeHtml(site.title)}</title>${items.join('')}</feed>`;
}

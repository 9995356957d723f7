import { feedOf } from './feed.js';
import { frontMatter } from './frontmatter.js';
import { stripTags } from './html.js';
import { renderMarkdown } from './markdown.js';
import { paginate } from './paginate.js';
import { Slugs } from './slug.js';
import { render } from './template.js';

/** @typedef {{ title: string, slug: string, date: string, tags: string[], html: string, summary: string }} Post */

/** Texts that become pages. */
export class Site {
  #slugs = new Slugs();

  /** @param {{ title: string, address: string, templates: Record<string, string> }} options */
  constructor(options) {
    this.options = options;
    /** @type {Post[]} */
    this.posts = [];
  }

  /** @param {string} text */
  add(text) {
    const { about, body } = frontMatter(text);
    if (about.draft === true) return null;
    const title = String(about.title ?? 'Untitled');
    const html = renderMarkdown(body);
    const post = { title, slug: this.#slugs.next(title), date: String(about.date ?? '1970-01-01'), tags: about.tags ?? [], html, summary: stripTags(html).slice(0, 160) };
    this.posts.push(post);
    return post;
  }

  /** Posts by tag, tags in order. */
  byTag() {
    /** @type {Map<string, Post[]>} */
    const tags = new Map();
    for (const post of this.posts) for (const tag of post.tags) tags.set(tag, [...(tags.get(tag) ?? []), post]);
    return new Map([...tags].sort(([a], [b]) => a.localeCompare(b)));
  }

  /** Every file of the site, by its path. */
  build() {
    const { title, address, templates } = this.options;
    const ordered = [...this.posts].sort((a, b) => (a.date < b.date ? 1 : -1));
    /** @type {Map<string, string>} */
    const files = new Map();
    for (const post of ordered) files.set(`${post.slug}/index.html`, render(templates.post, { site: { title }, ...post }));
    for (const page of paginate(ordered)) files.set(page.number === 1 ? 'index.html' : `page/${page.number}/index.html`, render(templates.list, { site: { title }, posts: page.items, page }));
    for (const [tag, posts] of this.byTag()) files.set(`tags/${tag}/index.html`, render(templates.list, { site: { title }, posts, page: { number: 1, total: 1 } }));
    files.set('feed.xml', feedOf({ title, address }, ordered));
    return files;
  }
}

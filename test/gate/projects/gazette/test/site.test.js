import assert from 'node:assert/strict';
import { Cache } from '../lib/cache.js';
import { feedOf } from '../lib/feed.js';
import { paginate } from '../lib/paginate.js';
import { Site } from '../lib/site.js';
import { Slugs, slugOf } from '../lib/slug.js';
import { render } from '../lib/template.js';

const templates = {
  post: '<h1>{{title}}</h1>{{{html}}}<p>{{site.title}}</p>',
  list: '{{#posts}}<a href="/{{slug}}">{{title}}</a>{{/posts}}<i>{{page.number}}/{{page.total}}</i>',
};
const text = (title, date, tags = '') => `---\ntitle: ${title}\ndate: ${date}\ntags: [${tags}]\n---\nOf *${title}*.`;

describe('slugs', () => {
  it('drop accents and signs', () => {
    assert.equal(slugOf('Crème brûlée, & more!'), 'creme-brulee-more');
  });

  it('differ', () => {
    const slugs = new Slugs();
    assert.deepEqual([slugs.next('A'), slugs.next('a!'), slugs.next('?')], ['a', 'a-2', 'untitled']);
  });
});

describe('templates', () => {
  it('escape, unless told not to', () => {
    assert.equal(render('{{a}} {{{a}}} {{none}}', { a: '<b>' }), '&lt;b&gt; <b> ');
  });

  it('repeat and choose', () => {
    assert.equal(render('{{#list}}[{{it}}]{{/list}}{{#yes}}y{{/yes}}{{#no}}n{{/no}}', { list: [1, 2], yes: true, no: false }), '[1][2]y');
  });

  it('do not reach into prototypes', () => {
    assert.equal(render('{{a.constructor}}', { a: {} }), '');
  });
});

describe('pages', () => {
  it('know their neighbours', () => {
    const pages = paginate([1, 2, 3, 4, 5], 2);
    assert.deepEqual(pages.map((page) => [page.items, page.previous, page.next]), [[[1, 2], null, 2], [[3, 4], 1, 3], [[5], 2, null]]);
    assert.equal(paginate([]).length, 1);
    assert.throws(() => paginate([1], 0), RangeError);
  });
});

describe('site', () => {
  it('becomes files', () => {
    const site = new Site({ title: 'News', address: 'https://news.example', templates });
    site.add(text('First', '2024-01-01', 'b, a'));
    site.add(text('Second', '2024-02-01', 'a'));
    assert.equal(site.add('---\ndraft: true\n---\n'), null);
    const files = site.build();
    assert.deepEqual([...files.keys()], ['second/index.html', 'first/index.html', 'index.html', 'tags/a/index.html', 'tags/b/index.html', 'feed.xml']);
    assert.equal(files.get('first/index.html'), '<h1>First</h1><p>Of <em>First</em>.</p><p>News</p>');
    assert.equal(files.get('index.html'), '<a href="/second">Second</a><a href="/first">First</a><i>1/1</i>');
    assert.equal(site.posts[0].summary, 'Of First.');
  });

  it('is cut into pages of ten', () => {
    const site = new Site({ title: 'News', address: 'https://news.example', templates });
    for (let n = 0; n < 11; n++) site.add(text(`Post ${n}`, `2024-01-${10 + n}`));
    assert.ok(site.build().has('page/2/index.html'));
  });
});

describe('feed', () => {
  it('begins with the newest', () => {
    const entry = (title, date) => ({ title, slug: title, date, html: '<p>' });
    const feed = feedOf({ title: 'A & B', address: 'https://x.example' }, [entry('old', '2023-01-01'), entry('new', '2024-01-01')]);
    assert.match(feed, /<title>A &amp; B<\/title><entry><title>new<\/title><id>https:\/\/x\.example\/new<\/id>/);
  });
});

describe('cache', () => {
  it('forgets what nobody asks for', () => {
    const cache = new Cache(2);
    const made = [];
    for (const key of ['a', 'b', 'a', 'c', 'b']) cache.get(key, () => (made.push(key), key.toUpperCase()));
    assert.deepEqual(made, ['a', 'b', 'c', 'b']);
    assert.equal(cache.get('b', () => 'other'), 'B');
  });
});

import assert from 'node:assert/strict';
import { frontMatter } from '../lib/frontmatter.js';
import { renderInline, renderMarkdown } from '../lib/markdown.js';

describe('front matter', () => {
  it('reads keys and values', () => {
    const { about, body } = frontMatter('---\ntitle: "A: b"\ntags: [x, y]\ndraft: false\nweight: 2.5\n# note\n---\nText');
    assert.deepEqual(about, { title: 'A: b', tags: ['x', 'y'], draft: false, weight: 2.5 });
    assert.equal(body, 'Text');
  });

  it('needs none', () => {
    assert.deepEqual(frontMatter('Text'), { about: {}, body: 'Text' });
  });

  it('says which line it cannot read', () => {
    assert.throws(() => frontMatter('---\ntitle: x\nnonsense\n---\n'), /line 3/);
  });
});

describe('markdown', () => {
  it('renders words', () => {
    assert.equal(renderInline('**a** *b* `c`'), '<strong>a</strong> <em>b</em> <code>c</code>');
    assert.equal(renderInline('<script>'), '&lt;script&gt;');
  });

  it('links only where it is safe', () => {
    assert.equal(renderInline('[a](https://example.org/)'), '<a href="https://example.org/">a</a>');
    assert.equal(renderInline('[a](javascript:alert)'), 'a');
  });

  it('renders blocks', () => {
    assert.equal(renderMarkdown('# A\n\n- b\n- c\n\n1. d\n2. e'), '<h1>A</h1>\n<ul><li>b</li><li>c</li></ul>\n<ol><li>d</li><li>e</li></ol>');
    assert.equal(renderMarkdown('> quoted\n> twice\n\none\ntwo'), '<blockquote>quoted twice</blockquote>\n<p>one two</p>');
    assert.equal(renderMarkdown('```js\na < b\n```'), '<pre><code>a &lt; b</code></pre>');
  });
});

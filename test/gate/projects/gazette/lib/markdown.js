import { escapeHtml } from './html.js';

/** @type {[RegExp, string][]} */
const inline = [
  [/\*\*([^*]+)\*\*/g, '<strong>$1</strong>'],
  [/\*([^*]+)\*/g, '<em>$1</em>'],
  [/`([^`]+)`/g, '<code>$1</code>'],
];

/** @param {string} text */
export function renderInline(text) {
  let html = escapeHtml(text);
  for (const [pattern, replacement] of inline) html = html.replace(pattern, replacement);
  return html.replace(/\[([^\]]+)\]\(([^)\s]+)\)/g, (whole, words, target) => (isSafe(target) ? `<a href="${target}">${words}</a>` : words));
}

/** @param {string} target */
const isSafe = (target) => /^(https?:|mailto:|[/#.]|[\w-]+(\/|$|\.))/.test(target);

/**
 * A little Markdown: headings, lists, quotes, code, paragraphs.
 * @param {string} text
 */
export function renderMarkdown(text) {
  const blocks = text.replace(/\r/g, '').trim().split(/\n{2,}/);
  return blocks.filter((block) => block !== '').map(renderBlock).join('\n');
}

/** @param {string} block */
function renderBlock(block) {
  const heading = /^(#{1,6})\s+(.+)$/.exec(block);
  if (heading !== null) return `<h${heading[1].length}>${renderInline(heading[2])}</h${heading[1].length}>`;
  if (block.startsWith('```')) return `<pre><code>${escapeHtml(block.replace(/^```\w*\n|\n?```$/g, ''))}</code></pre>`;
  const lines = block.split('\n');
  if (lines.every((line) => /^[-*] /.test(line))) return `<ul>${lines.map((line) => `<li>${renderInline(line.slice(2))}</li>`).join('')}</ul>`;
  if (lines.every((line) => /^\d+\. /.test(line))) return `<ol>${lines.map((line) => `<li>${renderInline(line.replace(/^\d+\. /, ''))}</li>`).join('')}</ol>`;
  if (lines.every((line) => line.startsWith('>'))) return `<blockquote>${renderInline(lines.map((line) => line.replace(/^>\s?/, '')).join(' '))}</blockquote>`;
  return `<p>${renderInline(lines.join(' '))}</p>`;
}

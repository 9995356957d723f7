import { escapeHtml } from './html.js';

/**
 * @param {Record<string, any>} data
 * @param {string} path
 */
const lookup = (data, path) => path.split('.').reduce((value, key) => (value === null || value === undefined ? undefined : Object.hasOwn(value, key) ? value[key] : undefined), /** @type {any} */ (data));

/**
 * @param {string} template
 * @param {Record<string, any>} data
 * @returns {string}
 */
export function render(template, data) {
  return template
    .replace(/\{\{#([\w.]+)\}\}([\s\S]*?)\{\{\/\1\}\}/g, (_whole, path, inner) => {
      const value = lookup(data, path);
      if (Array.isArray(value)) return value.map((each) => render(inner, typeof each === 'object' ? { ...data, ...each } : { ...data, it: each })).join('');
      return value ? render(inner, data) : '';
    })
    .replace(/\{\{\{([\w.]+)\}\}\}/g, (_whole, path) => String(lookup(data, path) ?? ''))
    .replace(/\{\{([\w.]+)\}\}/g, (_whole, path) => escapeHtml(lookup(data, path) ?? ''));
}

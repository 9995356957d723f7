/**
 * Draws the floors picture of README.md from the code's own imports, as a Mermaid graph between two markers.
 * `--check` writes nothing and exits 1 when the picture is not what the code says.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cruise } from 'dependency-cruiser';
import rules from '../.dependency-cruiser.mjs';
import { format, resolveConfig } from 'prettier';

const floors = [
  ['apps', 'Programs', /^apps\/([^/]+)\//],
  ['features', 'Feature rooms', /^libs\/(auth|projects|registry|events|runtime|quality|integration|forges)\//],
  ['observability', 'Observability', /^libs\/(observability)\//],
  ['platform', 'Platform, by pipe', /^libs\/platform\/src\/([^/]+)\//],
  ['messages', 'Messages', /^libs\/(messages)\//],
  ['kernel', 'Kernel', /^libs\/(kernel)\//],
  ['packages', 'Published packages', /^packages\/([^/]+)\//],
];
const roomOf = (path) => {
  for (const [floor, , pattern] of floors) {
    const name = pattern.exec(path)?.[1];
    if (name) return { id: `${floor}_${name}`, floor, name };
  }
  return null;
};

const { output } = await cruise(['apps', 'libs', 'packages'], {
  ...rules.options,
  exclude: { path: '(^|/)(dist|node_modules)/|\\.(spec|int-spec)\\.ts$' },
  doNotFollow: { path: 'node_modules' },
});

const rooms = new Map();
const below = new Map(floors.map(([floor]) => [floor, new Set()]));
for (const module of output.modules) {
  const from = roomOf(module.source);
  if (!from) continue;
  rooms.set(from.id, from);
  for (const dependency of module.dependencies) {
    const to = roomOf(dependency.resolved);
    if (to && to.floor !== from.floor) below.get(from.floor).add(to.floor);
  }
}
const lines = ['flowchart TD'];
for (const [floor, title] of floors) {
  const inside = [...rooms.values()]
    .filter((room) => room.floor === floor)
    .sort((a, b) => a.name.localeCompare(b.name));
  lines.push(`  subgraph ${floor}["${title}"]`, '    direction LR');
  for (const room of inside) lines.push(`    ${room.id}["${room.name}"]`);
  lines.push('  end');
}
// An arrow that a longer way down already tells is left out; who stands on what stays the same.
const reaches = (from, to) => [...below.get(from)].some((floor) => floor === to || reaches(floor, to));
for (const [from, floorsBelow] of below)
  for (const to of floorsBelow)
    if (![...floorsBelow].some((other) => other !== to && reaches(other, to))) lines.push(`  ${from} --> ${to}`);

const begin = '<!-- floors: drawn by `npm run floors:draw` -->';
const end = '<!-- /floors -->';
const readme = readFileSync('README.md', 'utf8');
const [before, rest] = readme.split(begin);
const after = rest?.split(end)[1];
if (after === undefined) throw new Error(`README.md lacks the markers ${begin} … ${end}`);
const drawn = await format(`${before}${begin}\n\n\`\`\`mermaid\n${lines.join('\n')}\n\`\`\`\n\n${end}${after}`, {
  ...(await resolveConfig('README.md')),
  parser: 'markdown',
});
if (process.argv.includes('--check')) {
  if (drawn !== readme) {
    console.error('The floors picture in README.md is not what the code says. Run: npm run floors:draw');
    process.exit(1);
  }
} else if (drawn !== readme) {
  writeFileSync('README.md', drawn);
}

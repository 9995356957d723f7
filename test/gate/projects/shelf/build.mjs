import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';

mkdirSync('dist', { recursive: true });
for (const name of readdirSync('src')) {
  const code = stripTypeScriptTypes(readFileSync(`src/${name}`, 'utf8')).replace(/(from '\.[^']*)\.ts'/g, "$1.js'");
  writeFileSync(`dist/${name.replace(/\.ts$/, '.js')}`, code);
}

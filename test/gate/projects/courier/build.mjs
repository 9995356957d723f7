import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';

mkdirSync('dist', { recursive: true });
for (const name of readdirSync('src').filter((each) => each.endsWith('.ts')))
  writeFileSync(`dist/${name.replace(/\.ts$/, '.mjs')}`, stripTypeScriptTypes(readFileSync(`src/${name}`, 'utf8'), { mode: 'transform' }));

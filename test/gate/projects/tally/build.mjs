import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';

mkdirSync('dist', { recursive: true });
for (const name of readdirSync('src').filter((each) => each.endsWith('.ts') && !each.endsWith('.spec.ts')))
  writeFileSync(`dist/${name.replace(/\.ts$/, '.js')}`, stripTypeScriptTypes(readFileSync(`src/${name}`, 'utf8'), { mode: 'transform' }));

import { cpSync } from 'node:fs';

cpSync('lib', 'public', { recursive: true });

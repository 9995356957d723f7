import { writeFile } from 'node:fs/promises';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { loadConfig } from '#platform/config';
import { httpAdapter } from '#platform/http';
import { apiDocument } from './api-document.ts';
import { AppModule } from './app.module.ts';
import { rooms } from './rooms.ts';

/** Writes the API document to the file that is named, without a database: `node dist/apps/server/src/openapi.js docs/openapi.json`. */
const [file = 'docs/openapi.json'] = process.argv.slice(2);
const config = loadConfig({});
const app = await NestFactory.create<NestFastifyApplication>(
  AppModule.forRoot(config, 'postgresql://none', rooms),
  httpAdapter(config),
  {
    preview: true,
    logger: false,
    abortOnError: false,
  },
);
await writeFile(file, `${JSON.stringify(apiDocument(app), null, 2)}\n`);
console.log(`Wrote ${file}.`);
process.exit(0);

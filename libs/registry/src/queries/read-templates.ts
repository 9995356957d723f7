import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { agentDefinition } from '@muster/contracts';
import { parse } from 'yaml';
import { TemplateUnknown } from '../registry.errors.ts';

export interface TemplateView {
  readonly name: string;
  readonly title: string | null;
  readonly description: string | null;
  readonly capabilities: string[];
  /** YAML, comments included: change it and register it. */
  readonly source: string;
}

/** The definitions that Muster ships to start from. */
export class ReadTemplates extends Query<TemplateView[]> {}
export class ReadTemplate extends Query<TemplateView> {
  constructor(readonly name: string) {
    super();
  }
}

@QueryHandler(ReadTemplates)
export class ReadTemplatesHandler implements IQueryHandler<ReadTemplates> {
  async execute(): Promise<TemplateView[]> {
    return Promise.all((await templateNames()).map(readTemplate));
  }
}

@QueryHandler(ReadTemplate)
export class ReadTemplateHandler implements IQueryHandler<ReadTemplate> {
  async execute({ name }: ReadTemplate): Promise<TemplateView> {
    // Looked up among the names there are, so that a name is never a path.
    if (!(await templateNames()).includes(name)) throw new TemplateUnknown(name);
    return readTemplate(name);
  }
}

/** The build copies no YAML: source and compiled modules both find the folder below the root of the package. */
function templatesFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let level = 0; level < 10; level += 1, folder = dirname(folder)) {
    const templates = join(folder, 'libs', 'registry', 'templates');
    if (existsSync(templates)) return templates;
  }
  throw new Error('The folder libs/registry/templates is missing from this installation.');
}

async function templateNames(): Promise<string[]> {
  const files = await readdir(templatesFolder());
  return files
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.slice(0, -'.yaml'.length))
    .sort();
}

async function readTemplate(name: string): Promise<TemplateView> {
  const source = await readFile(join(templatesFolder(), `${name}.yaml`), 'utf8');
  const { metadata, skills } = agentDefinition.parse(parse(source));
  return {
    name,
    title: metadata.title ?? null,
    description: metadata.description ?? null,
    capabilities: skills.map((skill) => skill.name),
    source,
  };
}

import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { dependenciesHome } from '@muster/gate';
import { Draft } from '../../test/gate/draft.ts';
import { cases } from '../../test/gate/cases/index.ts';
import type { SampleProject } from '../../test/gate/case.ts';
import { Packages } from '../../test/gate/packages.ts';
import { pad } from '../../test/gate/padding.ts';
import { readTree } from '../../test/gate/workshop.ts';

export type ProjectFiles = Draft['files'];

/** A change to a project of the gate's corpus, honest and of ordinary size, beside two that have nothing to do with it. */
export interface Sample {
  readonly project: SampleProject;
  readonly title: string;
  readonly base: ProjectFiles;
  readonly change: (files: ProjectFiles) => ProjectFiles;
  readonly elsewhere: Readonly<Record<'code' | 'prose', (files: ProjectFiles) => ProjectFiles>>;
}

const changes: Readonly<Record<SampleProject, string>> = {
  shelf: 'rules for members',
  courier: 'an event emitter and async iteration',
  tally: 'composed arrows',
  gazette: 'a default export and a closure',
  stockroom: 'a generator and a context manager',
};
const root = resolve(import.meta.dirname, '../..');
const packages = new Packages(root);

export function samples(): Sample[] {
  return Object.entries(changes).map(([name, wanted]): Sample => {
    const project = name as SampleProject;
    const found = cases.find((each) => each.project === project && each.name === wanted);
    if (found === undefined) throw new Error(`The corpus holds no case “${wanted}” for ${project}.`);
    const edited =
      (edit: (draft: Draft) => void) =>
      (files: ProjectFiles): ProjectFiles => {
        const draft = new Draft(files);
        edit(draft);
        return draft.files;
      };
    return {
      project,
      title: found.title,
      base: withPackages(readTree(join(root, 'test', 'gate', 'projects', project))),
      change: edited(found.change),
      elsewhere: {
        code: edited((draft) => pad(draft, project, 19)),
        prose: edited((draft) => draft.append('README.md', '\nAsk us anything.\n')),
      },
    };
  });
}

function withPackages(files: ProjectFiles): ProjectFiles {
  const text = files.get('package.json');
  if (typeof text !== 'string') return files;
  const manifest = JSON.parse(text) as { name: string; version: string; devDependencies: Record<string, string> };
  for (const name of Object.keys(manifest.devDependencies)) manifest.devDependencies[name] = packages.version(name);
  files.set('package.json', `${JSON.stringify(manifest, null, 2)}\n`);
  files.set('package-lock.json', `${JSON.stringify(packages.lockFor(manifest), null, 2)}\n`);
  return files;
}

export function writeProject(dir: string, files: ProjectFiles): string {
  for (const [path, content] of files) {
    const target = join(dir, path);
    mkdirSync(dirname(target), { recursive: true });
    if (typeof content === 'string') writeFileSync(target, content);
    else symlinkSync(content.to, target);
  }
  return dir;
}

/** Puts a project's packages where the gate looks for them, as an operator's cache would have them. */
export function providePackages(dir: string, cacheDir: string): void {
  const home = dependenciesHome(dir, cacheDir);
  if (home !== null)
    packages.fill(home, JSON.parse(readFileSync(join(dir, 'package-lock.json'), 'utf8')) as Parameters<Packages['fill']>[1]); // prettier-ignore
}

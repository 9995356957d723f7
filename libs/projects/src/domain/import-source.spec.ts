import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { typeid } from 'typeid-js';
import type { Config } from '#platform/config';
import { Git, NOTHING, Repositories } from '#platform/git';
import { importSource, isPublic } from './import-source.ts';

describe('an address is public', () => {
  it.each(['93.184.216.34', '2606:2800:220:1:248:1893:25c8:1946', '::ffff:93.184.216.34'])('as %s is', (address) => {
    expect(isPublic(address)).toBe(true);
  });
  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '172.31.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    '::ffff:10.0.0.1',
    '::ffff:a00:1',
    '64:ff9b::a00:1',
    '2002:a00:1::',
    'localhost',
    '',
  ])('but not %j', (address) => {
    expect(isPublic(address)).toBe(false);
  });
});

describe('an import over http', () => {
  const git = new Git();
  const person = { name: 'A', email: 'a@example.org' };
  let folder: string;
  let server: Server;
  let port: number;
  let repositories: Repositories;
  let source: string;
  let head: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-source-'));
    repositories = new Repositories(git, { dataDir: folder, sharedDir: folder } as Config);
    source = typeid('proj').toString();
    await repositories.create(source, 'main');
    head = await repositories.commitTree(source, {
      tree: await repositories.applyFiles(source, await repositories.emptyTree(source), [{ path: 'a', content: 'x' }]),
      parents: [],
      message: 'One',
      author: person,
      committer: person,
      date: new Date(0),
    });
    await repositories.updateRef(source, 'refs/heads/main', head, NOTHING);
    await git.run(repositories.path(source), ['update-server-info']);
    server = createServer((request, response) => {
      const path = new URL(request.url ?? '/', 'http://x').pathname;
      if (path.startsWith('/moved')) response.writeHead(302, { location: path.replace('/moved', '/repository') }).end();
      else if (path.startsWith('/secret')) response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      else
        readFile(join(repositories.path(source), path.replace('/repository/', ''))).then(
          (bytes) => response.end(bytes),
          () => response.writeHead(404).end(),
        );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(async () => {
    server.close();
    await rm(folder, { recursive: true, force: true });
  });
  const take = async (path: string, importHosts: string[]) => {
    const id = typeid('proj').toString();
    await repositories.create(id, 'main');
    await mkdir(folder, { recursive: true });
    await importSource(git, repositories.path(id), { url: `http://127.0.0.1:${port}${path}` }, undefined, {
      dataDir: folder,
      importPaths: [],
      importHosts,
    });
    return id;
  };

  it('works from a private host that the operator lists', async () => {
    const id = await take('/repository', ['127.0.0.1']);
    expect(await repositories.resolve(id, 'refs/heads/main')).toBe(head);
  });
  it('is refused from one that is not listed', async () => {
    await expect(take('/repository', ['*'])).rejects.toMatchObject({ code: 'projects.source_refused' });
    await expect(take('/repository', [])).rejects.toMatchObject({ code: 'projects.source_refused' });
  });
  it.each(['/moved', '/secret', '/none'])(
    'of %s, which redirects, wants a password or is not there, is refused',
    async (path) => {
      await expect(take(path, ['127.0.0.1'])).rejects.toMatchObject({ code: 'projects.not_a_repository', status: 422 });
    },
  );
});

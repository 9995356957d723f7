import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { toolchain } from '../../packages/gate/src/sandbox/toolchain.ts';

export interface SmallPackage {
  readonly manifest: { readonly name: string; readonly version: string; readonly [field: string]: unknown };
  readonly files?: Readonly<Record<string, string>>;
  /** Instead of what is packed of these. */
  readonly archive?: Buffer;
}

interface Packed {
  readonly manifest: SmallPackage['manifest'];
  readonly archive: Buffer;
}

/** A registry with a few packages on this machine, which package managers and npm's cache are filled from. */
export class SmallRegistry {
  url = '';
  asked = 0;
  /** Archives lie where npm's registry does not have them, as with some others. */
  elsewhere = false;
  private readonly root: string;
  private readonly server: Server;
  private readonly packages = new Map<string, Map<string, Packed>>();

  constructor(root: string) {
    this.root = root;
    this.server = createServer((request, response) => {
      this.asked += 1;
      const path = decodeURIComponent(request.url!.split('?')[0]!).slice(1);
      const [name = '', file] = path.replace(/^download\//, '').split('/-/');
      const versions = this.packages.get(name);
      const packed = [...(versions ?? [])].find(([version]) => file === `${name.replace(/^.*\//, '')}-${version}.tgz`);
      if (packed !== undefined) return response.end(packed[1].archive);
      if (versions === undefined || file !== undefined) return response.writeHead(404).end('{}');
      const about = [...versions].map(([version, { manifest, archive }]) => [
        version,
        { ...manifest, dist: { tarball: this.tarball(name, version), integrity: integrityOf(archive), shasum: createHash('sha1').update(archive).digest('hex') } }, // prettier-ignore
      ]);
      return response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ name, 'dist-tags': { latest: [...versions.keys()].at(-1) }, versions: Object.fromEntries(about) as object })); // prettier-ignore
    });
  }

  async open(packages: readonly SmallPackage[]): Promise<void> {
    for (const each of packages) {
      const versions = this.packages.get(each.manifest.name) ?? new Map<string, Packed>();
      this.packages.set(each.manifest.name, versions);
      versions.set(each.manifest.version, {
        manifest: each.manifest,
        archive: each.archive ?? this.pack(each),
      });
    }
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  tarball(name: string, version: string): string {
    return `${this.url}/${this.elsewhere ? 'download/' : ''}${name}/-/${name.replace(/^.*\//, '')}-${version}.tgz`;
  }

  integrity(name: string, version: string): string {
    return integrityOf(this.packages.get(name)!.get(version)!.archive);
  }

  /** As the runbook says that an operator does it. */
  async fill(cache: string, ...specs: string[]): Promise<void> {
    const { node, npmCli } = toolchain();
    await promisify(execFile)(node, [npmCli!, 'cache', 'add', ...specs, '--cache', cache, '--registry', this.url]);
  }

  private pack({ manifest, files = {} }: SmallPackage): Buffer {
    const folder = mkdtempSync(join(this.root, 'pack-'));
    for (const [path, text] of Object.entries({
      'package.json': JSON.stringify(manifest),
      'index.js': `module.exports = '${manifest.name}@${manifest.version}';\n`,
      ...files,
    })) {
      // prettier-ignore
      mkdirSync(dirname(join(folder, 'package', path)), { recursive: true });
      writeFileSync(join(folder, 'package', path), text);
    }
    execFileSync('tar', ['-czf', 'it.tgz', 'package'], { cwd: folder });
    return readFileSync(join(folder, 'it.tgz'));
  }
}

/** An archive with files where no package has any: outside of its folder, by a path and by a link. */
export function escapingArchive(root: string, manifest: SmallPackage['manifest']): Buffer {
  const folder = mkdtempSync(join(root, 'escaping-'));
  mkdirSync(join(folder, 'package'));
  writeFileSync(join(folder, 'package', 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(folder, 'escaped'), 'x');
  symlinkSync('../../..', join(folder, 'package', 'out'));
  execFileSync('tar', ['-cPf', 'it.tar', 'package', '--transform=s,^escaped$,package/../../../escaped,', 'escaped'], { cwd: folder }); // prettier-ignore
  execFileSync('tar', ['-rPf', 'it.tar', '--transform=s,^escaped$,package/out/escaped,', 'escaped'], { cwd: folder });
  return gzipSync(readFileSync(join(folder, 'it.tar')));
}

const integrityOf = (archive: Buffer): string => `sha512-${createHash('sha512').update(archive).digest('base64')}`;

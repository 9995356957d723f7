import { execFile } from 'node:child_process';
import { toolchain } from '../sandbox/toolchain.ts';
import type { SourceTree } from '../source/tree.ts';

/** Locks for Python, in the order in which one of them is installed from. */
export const pythonLocks = ['uv.lock', 'poetry.lock'] as const;

export interface ReadLock {
  readonly lines: readonly string[];
  readonly refused: readonly string[];
  /** Why nothing follows from it; null: something does. */
  readonly unusable: string | null;
}

/**
 * Reads a lock as data, in the interpreter that the packages are for: which of them are needed here, markers say, and pip brings along what
 * understands those. Prints one line for pip for each, with the hashes of its wheels.
 */
const reader = String.raw`
import hashlib, json, re, sys
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
from pip._vendor.packaging.markers import Marker
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.specifiers import SpecifierSet
from pip._vendor.packaging.version import Version

class Unusable(Exception):
    pass

GROUPS = ('dev', 'test', 'tests', 'testing')
refused = []

def canonical(name):
    return re.sub(r'[-_.]+', '-', name).lower()

def holds(marker, extras=()):
    if not marker:
        return True
    if isinstance(marker, list):
        return any(holds(each, extras) for each in marker)
    return any(Marker(marker).evaluate({'extra': each}) for each in ('', *extras))

def line(name, version, files):
    wheels = [each for each in files if str(each.get('file') or each.get('filename') or each.get('url') or '').split('?')[0].split('#')[0].endswith('.whl')]
    hashes = sorted({each['hash'] for each in wheels if re.fullmatch(r'sha256:[0-9a-f]{64}', str(each.get('hash')))})
    if not re.fullmatch(r'[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?', name) or str(Version(version)) == '':
        refused.append(f'{name[:100]} is no name of a package')
    elif not wheels:
        refused.append(f'{name}=={version} is locked as source alone, which would have to be run to be installed')
    elif not hashes:
        refused.append(f'{name}=={version} has no sha256')
    else:
        return f'{name}=={Version(version)} ' + ' '.join(f'--hash={each}' for each in hashes)

def once(packages):
    lines = {}
    for name, version, files in packages:
        if lines.setdefault(canonical(name), (version, files))[0] != version:
            raise Unusable(f'the lock has {name} in several versions for this interpreter')
    return sorted(filter(None, (line(name, *rest) for name, rest in lines.items())))

# Without markers: uv writes them down in another way than people do.
def wanted(requirements):
    return sorted((canonical(r.name), ','.join(sorted(map(str, r.specifier))), ','.join(sorted(map(canonical, r.extras)))) for r in requirements)

def group(groups, name, seen=()):
    found = []
    for each in groups.get(name, ()):
        if isinstance(each, str):
            found.append(Requirement(each))
        elif each.get('include-group') not in (None, name, *seen):
            found += group(groups, each['include-group'], (*seen, name))
    return found

def uv(lock, project):
    if lock.get('version') != 1:
        raise Unusable('it is a lock of version %s, and installed from is version 1; renew it with a current uv' % str(lock.get('version'))[:20])
    packages = {}
    for each in lock.get('package', ()):
        packages.setdefault(canonical(each['name']), []).append(each)
    own = lambda each: any(kind in each.get('source', {}) for kind in ('editable', 'virtual', 'directory'))
    root = [each for each in lock.get('package', ()) if '.' in (each.get('source', {}).get('editable'), each.get('source', {}).get('virtual'))]
    if not root:
        raise Unusable('it has nothing for the project at the root')
    about = root[0].get('metadata', {})
    asked = lambda entries: [Requirement(e['name'] + ('[%s]' % ','.join(e['extras']) if e.get('extras') else '') + e.get('specifier', '') + ('; ' + e['marker'] if e.get('marker') else '')) for e in entries]
    has = project.get('project', {})
    groups = dict(project.get('dependency-groups', {}))
    groups['dev'] = [*groups.get('dev', ()), *project.get('tool', {}).get('uv', {}).get('dev-dependencies', ())]
    if 'dependencies' not in has.get('dynamic', ()) and wanted(asked(e for e in about.get('requires-dist', ()) if 'extra ==' not in e.get('marker', ''))) != wanted(map(Requirement, has.get('dependencies', ()))):
        raise Unusable('it does not fit pyproject.toml, which asks for other packages; run uv lock and commit it')
    for name in GROUPS:
        made = about.get('requires-dev', {}).get(name, ())
        if wanted(asked(made)) != wanted(group(groups, name)):
            raise Unusable(f'it does not fit pyproject.toml, whose group {name} asks for other packages; run uv lock and commit it')
    edges = [(e, ()) for e in root[0].get('dependencies', ())] + [(e, ()) for name in GROUPS for e in root[0].get('dev-dependencies', {}).get(name, ())]
    seen, needed = set(), {}
    while edges:
        edge, extras = edges.pop()
        if not holds(edge.get('marker'), extras):
            continue
        found = [e for e in packages.get(canonical(edge['name']), ()) if edge.get('version', e.get('version')) == e.get('version') and edge.get('source', e.get('source')) == e.get('source')]
        if not found:
            raise Unusable('it names %s and does not say what that is' % edge['name'][:100])
        for each in found:
            if len(found) > 1 and not holds(each.get('resolution-markers')):
                continue
            for extra in ('', *edge.get('extra', ())):
                key = (canonical(each['name']), each.get('version'), extra)
                if key in seen:
                    continue
                seen.add(key)
                if extra == '':
                    edges += [(e, ()) for e in each.get('dependencies', ())]
                else:
                    edges += [(e, (extra,)) for e in each.get('optional-dependencies', {}).get(extra, ())]
            needed[(each['name'], each.get('version'))] = each
    result = []
    for each in needed.values():
        if own(each):
            continue
        if 'registry' not in each.get('source', {}):
            refused.append('%s comes from %s, not from an index' % (each['name'], str(next(iter(each.get('source', {}).values()), ''))[:200]))
        else:
            result.append((each['name'], each['version'], each.get('wheels', ())))
    return once(result)

def hashes_of(project):
    legacy = ('dependencies', 'source', 'extras', 'dev-dependencies')
    content = project.get('tool', {}).get('poetry', {})
    main = {key: project.get('project', {})[key] for key in ('requires-python', 'dependencies', 'optional-dependencies') if project.get('project', {}).get(key) is not None}
    groups = project.get('dependency-groups')
    old = {key: content.get(key) for key in (*legacy, 'group') if content.get(key) is not None or key in legacy}
    some = {key: value for key, value in old.items() if value is not None}
    made = [old]
    if main or groups:
        made += [{'project': main, 'tool': {'poetry': some}}, {'project': main, 'dependency-groups': groups, 'tool': {'poetry': some}}]
    return {hashlib.sha256(json.dumps(each, sort_keys=True).encode()).hexdigest() for each in made}

# Poetry's own ways to say for which interpreters and platforms something is; what is in none of them counts as for this one.
def runs(spec):
    if spec.get('platform', sys.platform) != sys.platform:
        return False
    def fits(part):
        found = re.fullmatch(r'([~^])(\d+)(?:\.(\d+))?(?:\.\d+)?', part.strip())
        if found:
            major, minor = int(found[2]), found[3]
            upper = f'{major}.{int(minor) + 1}' if found[1] == '~' and minor else str(major + 1)
            part = f'>={part.strip()[1:]},<{upper}'
        try:
            return SpecifierSet(part.replace(' ', '') if part.strip() != '*' else '').contains('%d.%d.%d' % sys.version_info[:3])
        except ValueError:
            return True
    return any(map(fits, str(spec.get('python', '*')).split('||')))

def poetry(lock, project):
    about = lock.get('metadata', {})
    version = str(about.get('lock-version'))
    if version not in ('2.0', '2.1'):
        raise Unusable('it is a lock of version %s, and installed from are 2.0 and 2.1; renew it with a current poetry' % version[:20])
    if about.get('content-hash') not in hashes_of(project):
        raise Unusable('it does not fit pyproject.toml, which was changed since; run poetry lock and commit it')
    packages = lock.get('package', [])
    if version == '2.1':
        groups = ('main', *GROUPS)
        def here(each):
            markers = each.get('markers')
            return [True for name in groups if name in each.get('groups', ()) and holds(markers.get(name) if isinstance(markers, dict) else markers)]
        needed = [each for each in packages if here(each) and not (each.get('optional') and not each.get('markers'))]
    else:
        byname = {}
        for each in packages:
            byname.setdefault(canonical(each['name']), []).append(each)
        content = project.get('tool', {}).get('poetry', {})
        roots = [content.get('dependencies', {}), content.get('dev-dependencies', {})] + [content.get('group', {}).get(name, {}).get('dependencies', {}) for name in GROUPS]
        edges = [(name, spec, ()) for each in roots for name, spec in each.items() if name != 'python']
        edges += [(r.name, {'markers': str(r.marker or ''), 'extras': sorted(r.extras)}, ()) for r in map(Requirement, project.get('project', {}).get('dependencies', ()))]
        seen, needed = set(), []
        while edges:
            name, spec, extras = edges.pop()
            if isinstance(spec, list):
                edges += [(name, each, extras) for each in spec]
                continue
            spec = spec if isinstance(spec, dict) else {}
            if (spec.get('optional') and not extras) or not holds(spec.get('markers'), extras) or not runs(spec):
                continue
            found = byname.get(canonical(name), [])
            if not found:
                raise Unusable('it names %s and does not say what that is' % name[:100])
            if len(found) > 1:
                running = '%d.%d.%d' % sys.version_info[:3]
                found = [each for each in found if SpecifierSet(each.get('python-versions', '').replace('*', '')).contains(running)]
            for each in found:
                for extra in ('', *spec.get('extras', ())):
                    if (each['name'], each['version'], extra) in seen:
                        continue
                    seen.add((each['name'], each['version'], extra))
                    edges += [(other, about, (extra,) if extra else ()) for other, about in each.get('dependencies', {}).items()]
                if each not in needed:
                    needed.append(each)
    result = []
    for each in needed:
        if each.get('source', {}).get('type') in ('git', 'url', 'directory', 'file', 'hg'):
            refused.append('%s comes from %s, not from an index' % (each['name'], str(each['source'].get('url'))[:200]))
        else:
            result.append((each['name'], each['version'], each.get('files', ())))
    return once(result)

try:
    given = json.load(sys.stdin)
    try:
        lock, project = (tomllib.loads(given[key]) for key in ('lock', 'project'))
    except tomllib.TOMLDecodeError as error:
        raise Unusable('it, or pyproject.toml, cannot be read: %s' % str(error)[:200])
    lines = (uv if given['name'] == 'uv.lock' else poetry)(lock, project)
    print(json.dumps({'lines': lines, 'refused': refused, 'unusable': None}))
except Unusable as error:
    print(json.dumps({'lines': [], 'refused': [], 'unusable': str(error)}))
except Exception as error:
    print(json.dumps({'lines': [], 'refused': [], 'unusable': 'it cannot be read: %s %s' % (type(error).__name__, str(error)[:200])}))
`;

/** What a lock of uv or poetry has for this machine: the project's own dependencies, and those of its groups for development and tests. */
export async function readPythonLock(
  tree: SourceTree,
  name: (typeof pythonLocks)[number],
  signal: AbortSignal | undefined,
): Promise<ReadLock> {
  const given = JSON.stringify({
    name,
    lock: tree.wholeText(name) ?? '',
    project: tree.wholeText('pyproject.toml') ?? '',
  });
  return await new Promise((resolve, reject) => {
    const child = execFile(
      toolchain().python!,
      ['-I', '-c', reader],
      { timeout: 30_000, maxBuffer: 16 * 1024 * 1024, env: { LC_ALL: 'C.UTF-8', PATH: process.env['PATH'] ?? '' }, ...(signal ? { signal } : {}) },
      (error, stdout) => {
        if (signal?.aborted === true) reject(signal.reason as Error);
        else if (error !== null) resolve({ lines: [], refused: [], unusable: `it cannot be read: ${error.message.slice(0, 200)}` });
        else resolve(JSON.parse(stdout) as ReadLock);
      },
    );
    child.stdin!.on('error', () => undefined); // it ended before it had read all of it
    child.stdin!.end(given);
  });
} // prettier-ignore

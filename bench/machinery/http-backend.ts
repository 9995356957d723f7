import { execFileSync, spawn } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './clock.ts';
import { freePort } from './server.ts';
import { say } from './stage.ts';

export interface HttpBackend {
  readonly url: string;
  readonly version: string;
}

/** git's own way of being served: nginx in front of `git http-backend` by fcgiwrap. Null, and loudly said, where they are not installed. */
export async function startHttpBackend(
  folder: string,
  repositories: string,
  cleanUp: (stop: () => Promise<void>) => void,
): Promise<HttpBackend | null> {
  const version = versionOf('nginx');
  if (version === null || versionOf('fcgiwrap', '-h') === null) {
    say('NO PEER FOR CLONES: nginx and fcgiwrap are not on the PATH (Debian: apt-get install nginx-light fcgiwrap).');
    return null;
  }
  const place = join(folder, 'http-backend');
  await mkdir(join(place, 'tmp'), { recursive: true });
  await chmod(folder, 0o755);
  const socket = join(place, 'fcgi.sock');
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${place}/tmp/${kind};`,
  );
  await writeFile(
    join(place, 'nginx.conf'),
    `daemon off; pid ${place}/nginx.pid; error_log ${place}/error.log; worker_processes 2; user ${userName()};
events { worker_connections 1024; }
http { access_log off; ${temporary.join(' ')} client_max_body_size 0;
  server { listen 127.0.0.1:${port};
    location / {
      fastcgi_pass unix:${socket};
      fastcgi_buffering off;
      fastcgi_param SCRIPT_FILENAME ${execFileSync('git', ['--exec-path'], { encoding: 'utf8' }).trim()}/git-http-backend;
      fastcgi_param GIT_PROJECT_ROOT ${repositories};
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_CONFIG_COUNT 1;
      fastcgi_param GIT_CONFIG_KEY_0 safe.directory;
      fastcgi_param GIT_CONFIG_VALUE_0 "*";
      fastcgi_param PATH_INFO $uri;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
      fastcgi_param GIT_PROTOCOL $http_git_protocol;
    } } }
`,
  ); // prettier-ignore
  // As many as clones come at once, so that none waits for a process.
  // Each leads a group of its own: fcgiwrap leaves its workers behind when it alone is ended.
  const wrap = spawn('fcgiwrap', ['-c', '50', '-s', `unix:${socket}`], { stdio: 'ignore', detached: true });
  const front = spawn('nginx', ['-p', place, '-c', join(place, 'nginx.conf')], {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  for (const child of [front, wrap])
    cleanUp(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // Nobody was left.
      }
    });
  const url = `http://127.0.0.1:${port}`;
  await until('nginx answering', 20, async () => (await fetch(url).catch(() => null)) !== null, 100);
  return { url, version };
}

function versionOf(program: string, flag = '-v'): string | null {
  try {
    const said = execFileSync('bash', ['-c', `${program} ${flag} 2>&1`], { encoding: 'utf8' });
    return /\/([\d.]+)/.exec(said)?.[1] ?? 'installed';
  } catch (error) {
    return (error as { status?: number }).status === 127 ? null : 'installed';
  }
}
const userName = (): string => execFileSync('id', ['-un'], { encoding: 'utf8' }).trim();

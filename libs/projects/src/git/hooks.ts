import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Refuses everything but one new `refs/for/<branch>`, before any object leaves quarantine. Its words reach the pusher. */
const preReceive = `#!/bin/sh
count=0
while read -r old new ref; do
  count=$((count + 1))
  case "$ref" in
    refs/for/?*) ;;
    *)
      echo "Direct pushes to $ref are refused: what lands is verified first." >&2
      echo "Submit your commit instead: git push origin HEAD:refs/for/$MUSTER_BRANCH -o task=<task id> -o fence=<fence>" >&2
      exit 1
      ;;
  esac
  case "$new" in
    *[!0]*) ;;
    *)
      echo "There is nothing to delete below refs/for: submissions are kept." >&2
      exit 1
      ;;
  esac
done
if [ "$count" -ne 1 ]; then
  echo "Push one commit to one refs/for/<branch> at a time." >&2
  exit 1
fi
`;

/** Only a pipe: the server on the other end of the socket speaks git's protocol. Frames come back as channel, length, bytes. */
const proxy = `'use strict';
const socket = require('node:net').connect(process.env.MUSTER_HOOK_SOCKET);
const fail = () => {
  process.stderr.write('The server ended this push. Try it again.\\n');
  process.exitCode = 1;
};
let answered = false;
let rest = Buffer.alloc(0);
socket.write(process.env.MUSTER_HOOK_TOKEN + '\\n');
process.stdin.on('data', (chunk) => socket.write(chunk));
process.stdin.on('error', () => undefined);
socket.on('data', (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
    const end = 5 + rest.readUInt32BE(1);
    const payload = rest.subarray(5, end);
    if (rest[0] === 1) process.stdout.write(payload);
    else if (rest[0] === 2) process.stderr.write(payload);
    else answered = true;
    rest = rest.subarray(end);
  }
});
socket.on('error', fail);
socket.on('close', () => {
  if (!answered) fail();
  process.stdin.destroy();
});
`;

const procReceive = `#!/bin/sh
exec "$MUSTER_NODE" "$MUSTER_HOOKS/proc-receive.cjs"
`;

/** Puts the hooks that pushes run with into the data folder. Every process writes the same bytes. */
export async function writeHooks(dataDir: string): Promise<string> {
  const folder = join(dataDir, 'hooks');
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries({
    'pre-receive': preReceive,
    'proc-receive': procReceive,
    'proc-receive.cjs': proxy,
  })) {
    const draft = join(folder, `.${name}.${process.pid}`);
    await writeFile(draft, text);
    await chmod(draft, 0o755);
    await rename(draft, join(folder, name));
  }
  return folder;
}

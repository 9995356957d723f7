// Random histories of the landing queue, played through the room's own SQL and a real git, and compared with a model of what may
// happen: nobody leaves for what a neighbour did, every landed tree is the one that the landings so far make, and nobody is stuck.
//   npm run queue:model -- [--histories 100] [--seed 1] [--at-once 2] [--json] [--keep FILE] [--minutes N]
// Histories are played by several processes at once on one PostgreSQL, each in a database and in repositories of its own: in memory where
// the machine lets us, since what is asked here is what happens and not what survives a power cut.
// With --keep what was played is written down, seed by seed, and the next run goes on where that one ended (by itself, with --minutes, or
// killed); what it says at its end is about all of them.
// In every third project each change also makes a generated file anew, a list of all changes, in which some of them conflict: these are settled
// by the resolver's answers, but for a few that it has none for.
// The rooms around are stand-ins, and the verifier's answers come from the model's oracle, which knows what is wrong with each change.
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { on } from 'node:events';
import { appendFileSync, chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import 'reflect-metadata';
import { startPostgres } from '../../dist/libs/platform/src/database/embedded-postgres.js';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    'at-once': { type: 'string', default: String(availableParallelism()) },
    json: { type: 'boolean', default: false },
    keep: { type: 'string' },
    minutes: { type: 'string', default: '0' },
  },
});
const whole = (name, least) => {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= least) return number;
  console.error(`--${name} is a whole number, at least ${least}.`);
  process.exit(64);
};
const histories = whole('histories', 1);
const firstSeed = whole('seed', 0);
/** Set by the process that counts: this one plays for it, and finds PostgreSQL where it says. */
const playsFor = process.send?.bind(process);

/** Mulberry32: small, and the same everywhere. */
const randomOf = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
};
const blobOf = (content) =>
  createHash('sha1')
    .update(`blob ${Buffer.byteLength(content)}\0`)
    .update(content)
    .digest('hex');

/** What is generated: the names of all changes, in an order in which they stand apart. */
const LIST = 'list';
const listOf = (names) =>
  [...names]
    .toSorted((one, other) => (blobOf(one) < blobOf(other) ? -1 : 1))
    .map((name) => `${name}\n`)
    .join('');
const rules = [{ files: [LIST], run: 'make list', timeoutSeconds: 60 }];

/** A new repository from time to time: a history begins wherever the one before it ended. */
const HISTORIES_PER_PROJECT = 20;
/** Far more rounds than the longest history needs: who is not at its end then is stuck. */
const MOST_ROUNDS = 300;
const SLOTS = 6;

const nothing = {
  histories: 0,
  innocentEjected: 0,
  wrongTrees: 0,
  landed: 0,
  ejected: 0,
  settled: 0,
  reverted: 0,
  stuck: 0,
  unaudited: 0,
};
let total = { ...nothing };
if (playsFor === undefined) process.exit(await playInProcesses());
const { startWorld } = await import('../../dist/libs/integration/test/world.js');
const world = await startWorld();

/** What a change does: which one-line files it rewrites, and what is wrong with it. Its name in the tree says so to the oracle. */
class Change {
  constructor(name, slots, flaw, clashes) {
    Object.assign(this, { name, slots, flaw, clashes });
    this.marker = `${name}.${flaw}`;
  }
  files() {
    return Object.fromEntries([[this.marker, `${this.name}\n`], ...this.slots.map((slot) => [slot, `${this.name}\n`])]);
  }
}

/** Says no where something is wrong that was not wrong before: a flaw of its own, or two that do not get along. */
const refuses = (before, after, changes) => {
  const wrong = (names) =>
    changes.filter(
      ({ name, flaw, clashes }) => names.has(name) && (flaw === 'bad' || clashes.some((other) => names.has(other))),
    ).length;
  return wrong(after) > wrong(before);
};

/** The branch as the landings so far make it, by the model alone. */
class Branch {
  constructor(files) {
    this.files = new Map(Object.entries(files));
    this.generates = this.files.has(LIST);
    this.states = [new Map(this.files)];
  }
  /** What a change brings that is made on these files. */
  broughtBy(change, files) {
    const list = this.generates ? { [LIST]: listOf(namesIn(files).add(change.name)) } : {};
    return { ...change.files(), ...list };
  }
  keep() {
    if (this.generates) this.files.set(LIST, listOf(namesIn(this.files)));
    this.states.push(new Map(this.files));
  }
  land(change) {
    const undo = new Map();
    for (const [path, content] of Object.entries(change.files())) {
      undo.set(path, this.files.get(path) ?? null);
      this.files.set(path, content);
    }
    this.keep();
    return undo;
  }
  revert(undo) {
    for (const [path, content] of undo) {
      if (content === null) this.files.delete(path);
      else this.files.set(path, content);
    }
    this.keep();
  }
}
const namesIn = (files) =>
  new Set([...files.keys()].filter((path) => /\.(ok|bad|clash)$/.test(path)).map((path) => path.split('.')[0]));
/** Both sides rewrote the same line, differently. */
const conflicts = (change, base, head) =>
  change.slots.some((slot) => head.get(slot) !== base.get(slot) && head.get(slot) !== `${change.name}\n`);

const tell = (problem) => console.error(JSON.stringify(problem));
const listings = new Map();
const listingOf = async (projectId, tree) => {
  const known = listings.get(tree);
  if (known !== undefined) return known;
  const text = await world.git.text(world.repositories.path(projectId), ['ls-tree', '-r', '--full-tree', tree]);
  const listing = new Map(text.split('\n').map((line) => [line.slice(line.indexOf('\t') + 1), line.split(/\s/)[2]]));
  listings.set(tree, listing);
  return listing;
};

async function answer(project, changes, verification) {
  const names = async (tree) => namesIn(await listingOf(project.id, tree));
  const [before, after] = [await names(verification.baseTree), await names(verification.candidateTree)];
  // Cancelled while the trees were looked at: those behind a change that moved are verified on other ground.
  if (!world.neighbours.verifications.has(verification.id)) return;
  world.finish(verification.id, refuses(before, after, changes) ? 'rejected' : 'accepted');
}

/** What the generator would make of the merge; null: it has no answer. */
async function settle(project, task, declines) {
  const { merged } = task.input.trees;
  const files = [{ path: LIST, encoding: 'utf8', content: listOf(namesIn(await listingOf(project.id, merged))) }];
  const output = declines
    ? { resolved: false, why: 'it does not say' }
    : { resolved: true, files, lock: null, tool: 'the model' };
  world.neighbours.tasks.set(task.id, { ...task, state: 'succeeded', output });
}

async function play(seed, project, branch, known) {
  const random = randomOf(seed);
  const upTo = (n) => Math.floor(random() * n);
  const pick = (list) => list[upTo(list.length)];
  // Half of what these agents hand in is bad on purpose; nobody is there to approve what they hand in next.
  world.neighbours.enforcer = { agentSuccess: { percent: 0 } };
  world.neighbours.landing = { strategy: pick(['squash', 'squash', 'merge', 'rebase']) };
  world.neighbours.generated = branch.generates ? rules : [];
  const declined = new Set();
  const count = 2 + upTo(5);
  const handedIn = [];
  const byId = new Map();
  const changes = known;
  const begin = async (change, base, baseFiles, task) => {
    const submission = await world.submit(project, branch.broughtBy(change, baseFiles), base, task);
    const entry = {
      change,
      id: submission.id,
      taskId: submission.taskId,
      base: baseFiles,
      states: branch.states.length - 1,
    };
    handedIn.push(entry);
    byId.set(submission.id, entry);
    await world.submissions.run(submission.id);
  };
  const startHead = await world.head(project);
  known.head ??= startHead;
  const startFiles = new Map(branch.files);
  let made = 0;
  let reverts = 0;
  let seenLandings = known.seenLandings;
  const accountLandings = async () => {
    const rows = await world.opened.sql(
      `select id, submission_id, kind, reverts_landing_id, before, commit, landed_tree, verified_tree, resolved from landings
       where project_id = $1 and state in ('landed', 'rolled_back') order by landed_at, id`,
      [project.id],
    );
    for (const row of rows.slice(seenLandings)) {
      if (row.kind === 'revert') branch.revert(known.undo.get(row.reverts_landing_id));
      else
        known.undo.set(row.id, branch.land((byId.get(row.submission_id) ?? known.byId.get(row.submission_id)).change));
      const tree = await world.repositories.treeOf(project.id, row.commit);
      const listing = await listingOf(project.id, tree);
      const expected = new Map([...branch.files].map(([path, content]) => [path, blobOf(content)]));
      const same = listing.size === expected.size && [...expected].every(([path, blob]) => listing.get(path) === blob);
      if (!same || tree !== row.verified_tree || row.landed_tree !== row.verified_tree) {
        total.wrongTrees += 1;
        const paths = new Set([...listing.keys(), ...expected.keys()]);
        const differs = [...paths].filter((path) => listing.get(path) !== expected.get(path));
        tell({ seed, landing: row.id, why: 'tree', tree, differs, row });
      }
      known.head = row.commit;
      if (row.kind === 'revert') total.reverted += 1;
      else total.landed += 1;
      if (row.resolved.some(({ how }) => how === 'generated')) total.settled += 1;
    }
    seenLandings = rows.length;
  };
  /** The head and what is in it by the model. Landings go on meanwhile, and one may have moved the branch without being told of yet. */
  const stand = async () => {
    for (let tries = 0; tries < 1000; tries += 1) {
      const head = await world.head(project);
      await accountLandings();
      if (head === known.head) return { head, files: new Map(branch.files) };
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`The head of ${project.id} is no landing that anybody was told of.`);
  };
  const open = () =>
    [...world.neighbours.verifications.values()].filter((v) => v.projectId === project.id && v.state !== 'finished');
  const asked = () =>
    [...world.neighbours.tasks.values()].filter(
      ({ projectId, capability, state }) =>
        projectId === project.id && capability === 'muster.resolve' && state === 'queued',
    );
  const settleOne = async (task) => {
    const declines = random() < 0.1;
    if (declines) declined.add(task.input.submissionId);
    await settle(project, task, declines);
    await world.submissions.run(task.input.submissionId);
  };
  const step = async () => {
    const choice = random();
    if (made < count && choice < 0.45) {
      const slots = Array.from({ length: SLOTS }, (_, at) => `slot${at}`);
      const chosen = [...new Set([pick(slots), ...(random() < 0.3 ? [pick(slots)] : [])])];
      const flaw = random() < 0.2 ? 'bad' : random() < 0.25 && handedIn.length > 0 ? 'clash' : 'ok';
      const name = `c${seed}x${made}`;
      const change = new Change(name, chosen, flaw, flaw === 'clash' ? [pick(handedIn).change.name] : []);
      changes.push(change);
      made += 1;
      // Some were made on an older state of the branch.
      if (random() < 0.6) await begin(change, startHead, startFiles);
      else {
        const { head, files } = await stand();
        await begin(change, head, files);
      }
      if (random() < 0.15) {
        const task = world.neighbours.task(handedIn.at(-1).taskId);
        world.neighbours.tasks.set(task.id, { ...task, priority: pick(['critical', 'high', 'low']) });
      }
    } else if (choice < 0.85) {
      const question = pick(asked());
      if (question !== undefined && random() < 0.5) return await settleOne(question);
      const verification = pick(open());
      if (verification === undefined) return;
      await answer(project, changes, verification);
      const waiting = await world.opened.sql(
        `select id from submissions where verification_id = $1 and state = 'verifying'`,
        [verification.id],
      );
      for (const { id } of waiting) await world.submissions.run(id);
    } else if (choice < 0.9 && handedIn.length > 0 && random() < 0.3) {
      const { taskId } = pick(handedIn);
      const task = world.neighbours.task(taskId);
      if (task.state === 'running') world.neighbours.tasks.set(taskId, { ...task, state: 'cancelled' });
    } else await world.settled();
  };
  const rowsOf = async () =>
    await world.opened.sql(
      `select id, state, task_id, kind, turn, candidate_head, candidate_tree, conflicts, held, next_action_at is not null as pending, reverts_landing_id
       from submissions where project_id = $1 and id > $2 order by id`,
      [project.id, known.lastId],
    );
  for (let steps = 0; steps < count * 6 || made < count; steps += 1) await step();
  const waitsForAnAgent = (taskId) => taskId !== null && world.neighbours.task(taskId).state === 'queued';
  // To the end: everything is answered, given-back work is redone once or given up.
  let rows = [];
  let rounds = 0;
  const redone = new Set();
  for (; rounds < MOST_ROUNDS; rounds += 1) {
    await world.settled();
    for (const question of asked()) await settleOne(question);
    for (const verification of open()) await answer(project, changes, verification);
    await world.settled();
    rows = await rowsOf();
    if (reverts === 0 && random() < 0.15) {
      await accountLandings();
      const [last] = await world.opened.sql(
        `select id from landings where project_id = $1 and state = 'landed' and kind = 'change' order by landed_at desc, id desc limit 1`,
        [project.id],
      );
      if (last !== undefined) {
        reverts += 1;
        await world.rollBack(last.id).catch((error) => {
          if (error.status !== 409) throw error;
        });
        continue;
      }
    }
    // Refused work is not redone here: its task fails, as it does at the limit of reworks, and nobody waits for it.
    for (const { state, task_id: taskId } of rows)
      if (state === 'rejected' && waitsForAnAgent(taskId))
        world.neighbours.tasks.set(taskId, { ...world.neighbours.task(taskId), state: 'failed' });
    for (const row of rows.filter(({ state, task_id: taskId }) => state === 'conflicted' && taskId !== null)) {
      if (redone.has(row.id)) continue;
      redone.add(row.id);
      const entry = byId.get(row.id);
      const task = world.neighbours.task(entry.taskId);
      if (random() < 0.5) world.neighbours.tasks.set(task.id, { ...task, state: 'cancelled' });
      else {
        const { head, files } = await stand();
        await begin(entry.change, head, files, await world.heldAgain(entry.taskId));
      }
    }
    rows = await rowsOf();
    if (
      open().length + asked().length === 0 &&
      rows.every(({ pending }) => !pending) &&
      rows.every(({ state, id, kind }) => state !== 'conflicted' || kind === 'revert' || redone.has(id)) &&
      rows.every(({ state, task_id: taskId }) => state !== 'rejected' || !waitsForAnAgent(taskId))
    )
      break;
  }
  await accountLandings();
  for (const row of rows) {
    const entry = byId.get(row.id);
    if (row.pending) {
      total.stuck += 1;
      tell({ seed, submission: row.id, why: `stuck in ${row.state}`, held: row.held });
    }
    if (entry === undefined || !['rejected', 'conflicted'].includes(row.state)) continue;
    total.ejected += 1;
    const states = branch.states.slice(entry.states);
    const { change } = entry;
    // Guilty: on something that had really landed, with it, the oracle says no; or its lines were rewritten there; or nothing was left to bring.
    const guilty =
      declined.has(row.id) ||
      states.some((files) => {
        if (row.state === 'conflicted') return conflicts(change, entry.base, files);
        const [before, after] = [namesIn(files), new Set([...namesIn(files), change.name])];
        return (
          refuses(before, after, changes) ||
          Object.entries(change.files()).every(([path, content]) => files.get(path) === content)
        );
      });
    if (!guilty) {
      total.innocentEjected += 1;
      tell({ seed, submission: row.id, why: `innocent, ${row.state}` });
    }
  }
  for (const [id, entry] of byId) known.byId.set(id, entry);
  known.lastId = rows.at(-1)?.id ?? known.lastId;
  known.seenLandings = seenLandings;
  total.histories += 1;
}

/** Histories on one project, one after another: the next begins where the one before it ended. */
async function playProject(seed, count) {
  total = { ...nothing };
  listings.clear();
  for (const kept of [world.neighbours.tasks, world.neighbours.verifications, world.neighbours.askedUnder])
    kept.clear();
  const files = Object.fromEntries(Array.from({ length: SLOTS }, (_, slot) => [`slot${slot}`, 'base\n']));
  if (Math.floor(seed / HISTORIES_PER_PROJECT) % 3 === 0) files[LIST] = '';
  const project = await world.project(files);
  const branch = new Branch(files);
  // The oracle's knowledge, and where the history before this one ended.
  const known = Object.assign([], { undo: new Map(), byId: new Map(), lastId: '', seenLandings: 0 });
  for (let at = 0; at < count; at += 1) await play(seed + at, project, branch, known);
  if (!(await world.audit(project)).ok) total.unaudited += 1;
  await world.repositories.remove(project.id);
  return total;
}

try {
  playsFor({ ready: true });
  for await (const [{ seed, count }] of on(process, 'message')) {
    if (count === 0) break;
    playsFor({ seed, total: await playProject(seed, count) });
  }
} finally {
  await world.close();
}
process.disconnect();

/** Memory where there is plenty of it: thousands of repositories are made and thrown away. */
function scratchFolder() {
  const memory = '/dev/shm';
  const roomy = existsSync(memory) && statfsSync(memory).bavail * statfsSync(memory).bsize > 4e9;
  const folder = mkdtempSync(join(process.env.TMPDIR ?? (roomy ? memory : tmpdir()), 'muster-queue-model-'));
  chmodSync(folder, 0o755);
  return folder;
}

/** What was played and written down before: the total of each project by its first seed. */
function keptIn(file) {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  // The last line may be half a line: it is played again.
  return new Map(lines.slice(0, -1).map((line) => (({ seed, ...played }) => [seed, played])(JSON.parse(line))));
}

/** Hands out a project's worth of histories at a time, and adds up what comes back. The code to exit with. */
async function playInProcesses() {
  const began = Date.now();
  const minutes = whole('minutes', 0);
  const kept = values.keep === undefined ? new Map() : keptIn(values.keep);
  const rest = [];
  const add = (played) => {
    for (const name of Object.keys(total)) total[name] += played[name] ?? 0;
  };
  for (let from = 0; from < histories; from += HISTORIES_PER_PROJECT) {
    const [seed, count] = [firstSeed + from, Math.min(HISTORIES_PER_PROJECT, histories - from)];
    const played = kept.get(seed);
    if (played?.histories === count) add(played);
    else rest.push({ seed, count });
  }
  const before = total.histories;
  const folder = scratchFolder();
  const postgres = await startPostgres({
    folder: join(folder, 'postgres'),
    settings: { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' },
  });
  const next = () => (minutes > 0 && Date.now() - began > minutes * 60_000 ? undefined : rest.shift());
  let failed = 0;
  try {
    const players = Array.from({ length: Math.min(whole('at-once', 1), rest.length) }, () => {
      const child = fork(fileURLToPath(import.meta.url), [], {
        env: { ...process.env, TEST_POSTGRES_URL: postgres.url, TMPDIR: folder },
      });
      child.on('message', ({ seed, total: played }) => {
        if (played !== undefined) {
          if (values.keep !== undefined) appendFileSync(values.keep, `${JSON.stringify({ seed, ...played })}\n`);
          add(played);
          if (!values.json) console.log(`${total.histories} of ${histories}: ${JSON.stringify(total)}`);
        }
        child.send(next() ?? { count: 0 });
      });
      return new Promise((done) => child.once('exit', done));
    });
    failed = (await Promise.all(players)).filter((code) => code !== 0).length;
  } finally {
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const seconds = (Date.now() - began) / 1000;
  const { innocentEjected, wrongTrees, landed, ejected } = total;
  const all = JSON.stringify({ ...total, seconds, playedBefore: before, failedProcesses: failed });
  if (values.json) {
    console.error(all);
    console.log(JSON.stringify({ histories: total.histories, innocentEjected, wrongTrees, landed, ejected }));
  } else console.log(all);
  const bad = innocentEjected + wrongTrees + total.stuck + total.unaudited;
  if (bad > 0 || failed > 0) return 1;
  if (total.histories === histories) return 0;
  console.error(`${histories - total.histories} are left to play: run it again with the same --keep.`);
  return 75;
}

import type { CloudEvent } from '@muster/contracts';
import type picocolors from 'picocolors';

type Colors = ReturnType<typeof picocolors.createColors>;

/** Draws the event stream: one line for each thing that happened, in the words of whoever watches. */
export class Timeline {
  readonly #startedAt = Date.now();
  /** By the id of the task, and of what came of it. */
  readonly #names = new Map<string, string>();
  readonly #expected = new Map<string, string>();
  readonly #quiet = new Set<string>();

  constructor(
    private readonly colors: Colors,
    private readonly write: (text: string) => void,
  ) {}

  /** From now on a task's lines carry this name. */
  name(taskId: string, name: string): void {
    this.#names.set(taskId, name);
  }

  /** The next task that is created with this title will carry this name. */
  expect(title: string, name: string): void {
    this.#expected.set(title, name);
  }

  say(text: string): void {
    this.#line('', this.colors.dim('·'), text);
  }
  warn(text: string): void {
    this.#line('', this.colors.yellow('!'), this.colors.yellow(text));
  }

  draw(event: CloudEvent): void {
    const { data } = event;
    const word = (name: string): string => (typeof data[name] === 'string' ? data[name] : '');
    const number = (name: string): string => (typeof data[name] === 'number' ? String(data[name]) : '?');
    // Muster's own verifications are told by their outcome; their tasks would only double it.
    if (
      data['capability'] === 'muster.verify' ||
      this.#quiet.has(word('taskId')) ||
      word('agent') === 'muster-verifier'
    ) {
      this.#quiet.add(word('taskId'));
      return;
    }
    const expected = event.type === 'task.created' ? this.#expected.get(word('title')) : undefined;
    if (expected !== undefined) this.#names.set(word('taskId'), expected);
    const who = this.#nameOf(event.type, data);
    const { green, red, yellow, cyan, dim } = this.colors;
    switch (event.type) {
      case 'task.created':
        return this.#line(who, dim('+'), `task ${dim(word('taskId'))} ${word('title')}`);
      case 'task.started':
        return this.#line(
          who,
          cyan('▶'),
          `${word('agent')} takes it, attempt ${number('attempt')}, fence ${number('fence')}`,
        );
      case 'task.lease_expired':
        return this.#line(who, yellow('⏱'), `the lease of attempt ${number('attempt')} ran out`);
      case 'task.attempt_failed':
        return this.#line(who, yellow('↯'), `gave up: ${firstLine(word('error'))}`);
      case 'task.requeued':
        return this.#line(who, yellow('↩'), `goes back to its agent (${word('reason')}, round ${number('round')})`);
      case 'submission.received':
        return this.#line(who, cyan('⇡'), `${word('kind') || 'change'} handed in as ${word('commit').slice(0, 10)}`);
      case 'verification.requested':
        return who === ''
          ? undefined
          : this.#line(who, dim('…'), dim(`verifying (${word('purpose').replace('_', ' ')})`));
      case 'submission.accepted':
        return this.#line(who, green('✓'), `accepted with ${number('score')} points`);
      case 'submission.rejected':
        return this.#line(who, red('✗'), `refused with ${number('score')} points: ${reasonsOf(data['reasons'])}`);
      case 'submission.conflicted':
        return this.#line(who, yellow('≠'), `conflicts with what has landed: ${listOf(data['paths'])}`);
      case 'landing.landed': {
        const equal = word('landedTree') === word('verifiedTree');
        return this.#line(
          who,
          green('⚑'),
          `${data['kind'] === 'revert' ? 'revert landed' : 'landed'} as ${word('commit').slice(0, 10)}  tree(landed) ${word('landedTree').slice(0, 10)} ${equal ? '==' : '≠'} tree(verified) ${word('verifiedTree').slice(0, 10)}`,
        );
      }
      case 'landing.post_landing_passed':
        return this.#line(who, green('✓'), dim('the check after landing passes'));
      case 'landing.post_landing_failed':
        return this.#line(who, red('✗'), `the check after landing fails: ${firstLine(word('summary'))}`);
      case 'landing.rolled_back':
        return this.#line(who, yellow('⟲'), `rolled back; follow-up ${word('followUpTaskId')}`);
      case 'task.succeeded':
        return this.#line(who, green('■'), 'done');
      case 'task.failed':
        return this.#line(who, dim('■'), dim(`over: ${firstLine(word('error'))}`));
      default:
        return;
    }
  }

  #nameOf(type: string, data: Record<string, unknown>): string {
    const ids = ['taskId', 'submissionId', 'landingId', 'subjectId']
      .map((field) => data[field])
      .filter((id) => typeof id === 'string');
    const known = ids.map((id) => this.#names.get(id)).find((name) => name !== undefined);
    const name = known ?? (data['kind'] === 'revert' ? 'revert' : '');
    // What came of a task goes by the task's name from here on.
    if (name !== '' && type !== 'verification.requested')
      for (const id of ids) if (!this.#names.has(id)) this.#names.set(id, name);
    return name;
  }

  #line(who: string, mark: string, text: string): void {
    const seconds = ((Date.now() - this.#startedAt) / 1_000).toFixed(1).padStart(6);
    this.write(`${this.colors.dim(`${seconds}s`)} ${mark} ${this.colors.bold(who.padEnd(18))} ${text}\n`);
  }
}

const firstLine = (text: string): string => text.trim().split('\n')[0]!.slice(0, 160);
const listOf = (value: unknown): string => (Array.isArray(value) ? value.map(String).join(', ') : '');
const reasonsOf = (value: unknown): string =>
  Array.isArray(value) && value.length > 0 ? firstLine(String(value[0])) : 'no reason given';

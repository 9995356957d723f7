import type { Draft } from './draft.ts';

export const sampleProjects = ['shelf', 'courier', 'tally', 'gazette', 'stockroom'] as const;
export type SampleProject = (typeof sampleProjects)[number];

/** One small deliverable, and what the gate owes it. */
export interface CorpusCase {
  name: string;
  /** What it is an example of: a kind of finding, or a way of working honestly. */
  kind: string;
  project: SampleProject;
  /** What the task that it answers is called. */
  title: string;
  /** Where its task keeps it; absent: anywhere. */
  paths?: string[];
  /** What the branch holds besides the project. */
  branch?: (draft: Draft) => void;
  /** The person who hands it in without a task; absent: an agent does. */
  approvedBy?: string;
  change: (draft: Draft) => void;
  /** Nothing of it is executed, and need not be: its lock is none that is installed from. */
  unrun?: boolean;
  /** The rules of which one has to name what is wrong; absent: the work is honest and has to be let in. */
  refusedBy?: string[];
}

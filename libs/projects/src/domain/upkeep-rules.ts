import type { Stored } from '#platform/git';

/** Git's own housekeeping waits for 6,700; every clone opens each of them, and each costs a block of the disk. */
export const MOST_LOOSE_OBJECTS = 2_000;
/** Packs that grow by halves of one another are fewer than this up to a billion objects; every look-up goes through all of them. */
export const MOST_PACKS = 30;
/** Each is a file, and each fetch reads them all. */
export const MOST_LOOSE_REFS = 500;

export const hasGathered = ({ looseObjects, packs, looseRefs }: Stored): boolean =>
  looseObjects > MOST_LOOSE_OBJECTS || packs > MOST_PACKS || looseRefs > MOST_LOOSE_REFS;

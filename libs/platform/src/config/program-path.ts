/** Where programs of the machine (git) are looked for: the one thing that a child with a clean environment keeps. */
export const programPath = (): string => process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin';

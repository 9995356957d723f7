import { commandLine, defaultLimits, launch, type SandboxDriver } from './driver.ts';

/**
 * No walls at all: the command runs as us, with our network and our files. Only for operators who ask for it by its name, on
 * machines where every submitter is trusted.
 */
export const directDriver: SandboxDriver = {
  name: 'none-i-accept-the-risk',
  paths: ({ workDir, reportDir }) => ({ work: workDir, report: reportDir ?? workDir }),
  async run(run) {
    const limits = { ...defaultLimits, ...run.limits };
    return await launch(commandLine(run.command), {
      cwd: run.workDir,
      env: {
        PATH: `${process.execPath.replace(/\/[^/]*$/, '')}:${process.env['PATH'] ?? ''}`,
        HOME: run.workDir,
        CI: 'true',
        LANG: 'C.UTF-8',
        ...run.env,
      },
      limits,
      writable: [run.workDir, ...(run.reportDir === undefined ? [] : [run.reportDir])],
      signal: run.signal,
      onOutput: run.onOutput,
      groups: run.groups,
      handshake: false,
    });
  },
};

import { Command, CommanderError } from 'commander';
import { addAgentCommands } from './commands/agent-exec.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addInstanceCommands } from './commands/instances.ts';
import { addKeyCommands } from './commands/keys.ts';
import { addLimitCommands } from './commands/limits.ts';
import { addQualityCommands } from './commands/quality.ts';
import { addIncidentCommands } from './commands/incidents.ts';
import { addProjectCommands } from './commands/projects.ts';
import { addProvenanceCommands } from './commands/provenance.ts';
import { addRemoteCommands } from './commands/remotes.ts';
import { addSessionCommands } from './commands/session.ts';
import { addSetCommands } from './commands/sets.ts';
import { addTaskCommands } from './commands/tasks.ts';
import { addVerificationCommands } from './commands/verifications.ts';
import { addVerifyCommand } from './commands/verify.ts';
import { explain } from './output.ts';
import type { Globals } from './settings.ts';

export const buildProgram = (): { program: Command; globals: () => Globals } => {
  const program = new Command('muster')
    .description('Take durable work to agents, and prove, land and roll back what they hand in.')
    .option('--json', 'print JSON, in the shapes of the REST API', false)
    .option('--url <url>', 'the server; default MUSTER_URL, the kept session, or http://localhost:3000')
    .option('--token <token>', 'an API key; default MUSTER_TOKEN or the kept session')
    .showHelpAfterError('(muster --help lists the commands)')
    .enablePositionalOptions(false)
    .exitOverride();
  const globals = (): Globals => program.opts<Globals>();
  addSessionCommands(program, globals);
  addKeyCommands(program, globals);
  addProjectCommands(program, globals);
  addRemoteCommands(program, globals);
  addIncidentCommands(program, globals);
  addQualityCommands(program, globals);
  addProvenanceCommands(program, globals);
  addTaskCommands(program, globals);
  addSetCommands(program, globals);
  addAgentCommands(program, globals);
  addInstanceCommands(program, globals);
  addLimitCommands(program, globals);
  addVerificationCommands(program, globals);
  addVerifyCommand(program, globals);
  addDoctorCommand(program, globals);
  return { program, globals };
};

export const main = async (args: readonly string[]): Promise<number> => {
  const { program, globals } = buildProgram();
  try {
    await program.parseAsync([...args], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has printed its own words already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 64;
    return explain(error, globals().json);
  }
};

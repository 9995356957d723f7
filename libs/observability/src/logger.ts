import type { LoggerService } from '@nestjs/common';
import { trace } from '@opentelemetry/api';
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from '#platform/config';

/** Whatever is called like this, wherever it stands in a log line, is not written. */
const secret = [
  'password',
  'secret',
  'token',
  'accessToken',
  'refreshToken',
  'authorization',
  'cookie',
  'apiKey',
  'privateKey',
];

/** Nest's logger on pino: JSON for machines, readable on a terminal, with the ids of the running trace. */
export class MusterLogger implements LoggerService {
  readonly #pino: Logger;

  constructor(config: Pick<Config, 'logLevel' | 'logPretty'>) {
    const options = {
      level: config.logLevel,
      base: config.logPretty ? null : { service: 'muster', pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: secret.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '********' },
      formatters: { level: (label: string) => ({ level: label }) },
      mixin: () => {
        const span = trace.getActiveSpan()?.spanContext();
        return span === undefined ? {} : { traceId: span.traceId, spanId: span.spanId };
      },
    };
    this.#pino = config.logPretty
      ? pino(
          options,
          pretty({ translateTime: 'SYS:HH:MM:ss.l', messageFormat: '{context} {msg}', ignore: 'context', sync: true }),
        )
      : pino(options);
  }

  log(message: unknown, ...more: unknown[]): void {
    this.#write('info', message, more);
  }
  error(message: unknown, ...more: unknown[]): void {
    this.#write('error', message, more);
  }
  fatal(message: unknown, ...more: unknown[]): void {
    this.#write('error', message, more);
  }
  warn(message: unknown, ...more: unknown[]): void {
    this.#write('warn', message, more);
  }
  debug(message: unknown, ...more: unknown[]): void {
    this.#write('debug', message, more);
  }
  verbose(message: unknown, ...more: unknown[]): void {
    this.#write('trace', message, more);
  }

  /** Nest passes the context last, and for errors a stack before it. */
  #write(level: 'info' | 'error' | 'warn' | 'debug' | 'trace', message: unknown, more: readonly unknown[]): void {
    const context = typeof more.at(-1) === 'string' ? (more.at(-1) as string) : undefined;
    // Nest's own start-up lines (which module, which route) are of use to whoever works on Muster only.
    const quiet = level === 'info' && context !== undefined && nestContexts.has(context);
    const stack = level === 'error' && more.length > 1 && typeof more[0] === 'string' ? { stack: more[0] } : {};
    const at = quiet ? 'trace' : level;
    if (message instanceof Error) this.#pino[at]({ context, err: message, ...stack }, message.message);
    else if (typeof message === 'object' && message !== null) this.#pino[at]({ context, ...message });
    else this.#pino[at]({ context, ...stack }, String(message));
  }
}

const nestContexts: ReadonlySet<string> = new Set([
  'InjectorLogger',
  'InstanceLoader',
  'NestApplication',
  'NestFactory',
  'RouterExplorer',
  'RoutesResolver',
]);

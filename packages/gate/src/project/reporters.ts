/**
 * What runs inside the sandbox, in the runner's own process, and says what each test case came to. Each stands by itself and keeps
 * the key in a closure, with the functions that it needs taken before anything of the project's has run.
 */

const speak = (fs: string, crypto: string, here: string): string => `
const { openSync, readSync, writeSync } = ${fs};
const { hash } = ${crypto};
const { stringify } = JSON;
const voice = (() => {
  let key = '';
  try {
    const keyhole = openSync(${here} + '/channel/key', ${fs}.constants.O_RDONLY | ${fs}.constants.O_NONBLOCK);
    const bytes = Buffer.alloc(64);
    key = bytes.toString('latin1', 0, readSync(keyhole, bytes));
  } catch {
    // somebody was here before; what is said without a key is heard as a stranger's
  }
  const results = openSync(${here} + '/channel/results', 'w');
  let n = 0;
  const say = (record) => {
    const text = stringify(record);
    writeSync(results, hash('sha256', key + n + text).slice(0, 32) + ' ' + text + '\\n');
    n++;
  };
  say('begin');
  let given = false;
  // Once only: whoever loads this again gets nothing to say.
  return () => (given ? () => undefined : ((given = true), say));
})();
const caseOf = (name, file, status, message, ms) => ({
  name: String(name), file: file ?? null, status,
  message: message == null ? null : String(message).slice(0, 4000), ms: typeof ms === 'number' ? ms : null,
});
`;

const forModules = `import fs from 'node:fs';
import crypto from 'node:crypto';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
${speak('fs', 'crypto', 'dirname(fileURLToPath(import.meta.url))')}`;
const forCommonJs = `'use strict';
const fs = require('node:fs');
const crypto = require('node:crypto');
${speak('fs', 'crypto', '__dirname')}`;

const node = `${forModules}
export default async function* report(source) {
  const say = voice();
  const names = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') { names[data.nesting] = data.name; names.length = data.nesting + 1; continue; }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const error = data.details?.error;
    if (data.details?.type === 'suite' && (type === 'test:pass' || error?.failureType === 'subtestsFailed')) continue;
    if (error?.failureType === 'subtestsFailed') continue;
    const name = [...names.slice(0, data.nesting), data.name].join(' > ');
    const skipped = (data.skip !== undefined && data.skip !== false) || (data.todo !== undefined && data.todo !== false);
    const cause = error?.cause;
    say(caseOf(
      name, data.file, skipped ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed',
      type === 'test:fail' ? (cause?.message ?? cause ?? error?.message ?? 'failed') : null, data.details?.duration_ms,
    ));
  }
  say('end');
  yield '';
}
`;

const jest = `${forCommonJs}
module.exports = class {
  constructor() { this.say = voice(); }
  onTestResult(_test, result) {
    const file = result.testFilePath;
    if (result.testResults.length === 0 && (result.testExecError != null || result.failureMessage))
      this.say(caseOf(file + ' can be run', file, 'failed', result.failureMessage ?? 'failed', null));
    for (const each of result.testResults)
      this.say(caseOf(
        each.fullName.trim(), file, each.status === 'passed' || each.status === 'failed' ? each.status : 'skipped',
        each.failureMessages?.length > 0 ? each.failureMessages.join('\\n') : null, each.duration,
      ));
  }
  onRunComplete() { this.say('end'); }
};
`;

const vitest = `${forModules}
const named = (task) => {
  const names = [];
  for (let at = task; at !== undefined && at !== null && at.type !== 'module' && at.filepath === undefined; at = at.parent ?? at.suite)
    names.unshift(at.name);
  return names.join(' ').trim();
};
const words = (errors) => errors?.map((error) => error.message ?? String(error)).join('\\n') || null;
export default class {
  say = voice();
  ended = false;
  spoke = false;
  onTestCaseResult(test) {
    this.spoke = true;
    const { state, errors } = test.result();
    this.say(caseOf(
      named(test), test.module.moduleId, state === 'passed' || state === 'failed' ? state : 'skipped', words(errors), test.diagnostic()?.duration,
    ));
  }
  onTestModuleEnd(module) {
    this.spoke = true;
    const errors = module.errors?.() ?? [];
    if (module.state() === 'failed' && module.children.size === 0)
      this.say(caseOf(module.moduleId + ' can be run', module.moduleId, 'failed', words(errors), null));
  }
  onTestRunEnd() { this.end(); }
  // Before version 3 everything was told at the end.
  onFinished(files) {
    if (!this.spoke && !this.ended) {
      const visit = (task, file) => {
        if (task.type === 'test' || task.type === 'custom') {
          const state = task.result?.state;
          this.say(caseOf(
            named(task), file, state === 'pass' ? 'passed' : state === 'fail' ? 'failed' : 'skipped', words(task.result?.errors), task.result?.duration,
          ));
        } else for (const each of task.tasks ?? []) visit(each, file);
      };
      for (const file of files ?? []) {
        if (file.result?.state === 'fail' && (file.tasks ?? []).length === 0)
          this.say(caseOf(file.filepath + ' can be run', file.filepath, 'failed', words(file.result?.errors), null));
        visit(file, file.filepath);
      }
    }
    this.end();
  }
  end() {
    if (this.ended) return;
    this.ended = true;
    this.say('end');
  }
}
`;

const mocha = `${forCommonJs}
module.exports = class {
  constructor(runner) {
    const say = voice();
    const print = (mark, test) => process.stdout.write('  ' + mark + ' ' + test.fullTitle() + '\\n');
    runner.on('pass', (test) => { print('ok', test); say(caseOf(test.fullTitle(), test.file, 'passed', null, test.duration)); });
    runner.on('pending', (test) => { print('--', test); say(caseOf(test.fullTitle(), test.file, 'skipped', null, null)); });
    runner.on('fail', (test, error) => {
      print('FAILED', test);
      process.stdout.write('    ' + (error?.stack ?? error?.message ?? error) + '\\n');
      say(caseOf(test.fullTitle(), test.file, 'failed', error?.message ?? 'failed', test.duration));
    });
    runner.once('end', () => say('end'));
  }
};
`;

const pytest = `
import os
from hashlib import sha256 as _sha256
from json import dumps as _dumps
from os import write as _write

def _voice():
    here = os.path.dirname(os.path.abspath(__file__))
    key = b""
    try:
        keyhole = os.open(here + "/channel/key", os.O_RDONLY | os.O_NONBLOCK)
        key = os.read(keyhole, 64)
        os.close(keyhole)
    except OSError:
        pass  # somebody was here before; what is said without a key is heard as a stranger's
    results = os.open(here + "/channel/results", os.O_WRONLY)
    count = 0
    def say(record):
        nonlocal count
        text = _dumps(record).encode()
        seal = _sha256(key + str(count).encode() + text).hexdigest()[:32].encode()
        line = seal + b" " + text + b"\\n"
        while line:
            line = line[_write(results, line):]
        count += 1
    say("begin")
    return say

class _Reporter:
    def __init__(self, say):
        self._say = say
        self._open = {}

    def _case(self, name, path, status, message, ms):
        message = None if message is None else str(message)[:4000]
        self._say({"name": name, "file": path, "status": status, "message": message, "ms": ms})

    def pytest_runtest_logreport(self, report):
        seen = self._open.setdefault(report.nodeid, {"status": "passed", "message": None, "ms": 0})
        seen["ms"] += report.duration * 1000
        if report.failed:
            seen["status"] = "failed"
            seen["message"] = seen["message"] or report.longreprtext or "failed"
        elif report.skipped and seen["status"] == "passed":
            seen["status"] = "skipped"
        if report.when == "teardown":
            del self._open[report.nodeid]
            path = report.nodeid.split("::")[0]
            head, bracket, rest = report.nodeid.partition("[")
            name = head.split("::")[-1] + bracket + rest
            self._case(name, path, seen["status"], seen["message"], seen["ms"])

    def pytest_collectreport(self, report):
        if report.failed:
            path = report.nodeid.split("::")[0]
            name = path[:-3].replace("/", ".") if path.endswith(".py") else report.nodeid
            self._case(name, path, "failed", report.longreprtext or "could not be loaded", None)

    def pytest_sessionfinish(self):
        self._say("end")

# Where workers share the tests, the first process tells of all of them.
_own = [] if "PYTEST_XDIST_WORKER" in os.environ else [_voice()]

def pytest_configure(config):
    if _own:
        config.pluginmanager.register(_Reporter(_own.pop()), "muster-reporter")
`;

/**
 * Loaded before all else where single test files are run: Python asks for each module that it looks for, instead of listing the folders in which it may
 * lie. What it finds is the same, and what a program lists by itself can be told from that. Whoever undoes it has listed more, not less.
 */
export const asksForModules = `
from importlib.machinery import FileFinder

class _Any:
    def __contains__(self, _name):
        return True

def _fill_cache(self):
    self._path_cache = self._relaxed_path_cache = _Any()

FileFinder._fill_cache = _fill_cache
`;

/** File names below the harness's folder, and what they hold. */
export const reporters: Readonly<Record<string, string>> = {
  'node.mjs': node,
  'jest.cjs': jest,
  'vitest.mjs': vitest,
  'mocha.cjs': mocha,
  'muster_report.py': pytest,
};

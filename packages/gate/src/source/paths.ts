import picomatch from 'picomatch';

/** Files that hold tests, by the customs of the runners that the gate knows. */
const tests = picomatch([
  '**/*.{test,spec,int-spec,e2e-spec}.{js,mjs,cjs,jsx,ts,mts,cts,tsx}',
  '**/*.{tst,test-d}.{ts,mts,cts,tsx}', // of types: a compiler looks at them, and nothing runs them
  '**/{test,tests,__tests__}/**/*.{js,mjs,cjs,jsx,ts,mts,cts,tsx}',
  '**/{test,tests}.{js,mjs,cjs,ts,mts,cts}',
  '**/test-*.{js,mjs,cjs,ts,mts,cts}',
  '**/*{_,-}test.{js,mjs,cjs,ts,mts,cts}',
  '**/test_*.py',
  '**/*_test.py',
  '**/conftest.py',
]);

export const isTestFile = (path: string): boolean => tests(path) && !path.includes('node_modules/');

const scripts = /\.(js|mjs|cjs|jsx|ts|mts|cts|tsx)$/;
export const isScript = (path: string): boolean => scripts.test(path) && !/\.d\.[mc]?ts$/.test(path);
export const isTypeScript = (path: string): boolean => /\.[mc]?tsx?$/.test(path);
export const isPython = (path: string): boolean => path.endsWith('.py');
export const isShell = (path: string): boolean => /\.(?:sh|bash)$/.test(path);

/** Source that a product runs: neither tests, nor settings, nor what tools generate or vendors ship. */
export const isProductSource = (path: string): boolean =>
  (isScript(path) || isPython(path)) &&
  !isTestFile(path) &&
  !/(^|\/)(node_modules|dist|build|coverage|vendor|fixtures|__fixtures__|__mocks__|examples?|(?:[\w.]+-)+examples|bench(marks?)?|docs?)\//.test(
    path,
  ) &&
  !/(^|\/)[^/]*\.config\.[mc]?[jt]s$/.test(path) &&
  !/(^|\/)(\.[^/]*rc\.[mc]?js|gulpfile\.js|Gruntfile\.js|setup\.py|conftest\.py)$/.test(path) &&
  !/\.min\.js$/.test(path);

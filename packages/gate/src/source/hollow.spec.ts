import { afterAll, describe, expect, it } from '@jest/globals';
import { GateDesk } from '../../../../test/support/gate-desk.ts';
import { honestyCheck } from '../checks/honesty.ts';
import { functionsIn } from './functions.ts';

const hollowIn = (path: string, text: string): string[] =>
  functionsIn(path, text)
    .filter((each) => each.hollow)
    .map(({ name }) => name);

describe('a function that answers the same whatever it is given, under a name that says otherwise', () => {
  it.each([
    ['export function isExpired(token: Token): boolean {\n  return false;\n}', 'isExpired'],
    ['export function isExpired(_token: Token): boolean {\n  return false;\n}', 'isExpired'],
    ['export const totalOf = (lines: Line[]): number => 0;', 'totalOf'],
    ['export const load = async (id: string) => [];', 'load'],
    ['export const load = async (id) => Promise.resolve({ items: [] });', 'load'],
    ['export function save(item) {}', 'save'],
    ['export const sanitizeHtml = (html) => html;', 'sanitizeHtml'],
    ['export function sendMail(to, text) {\n  console.log(`sending to ${to}`);\n  return true;\n}', 'sendMail'],
    ['export function isValid(address) {\n  void address;\n  return true;\n}', 'isValid'],
    ['export async function charge(card) {\n  await sleep(10);\n  return { ok: true };\n}', 'charge'],
    ['export class Basket {\n  lines = [];\n  get isEmpty() {\n    return false;\n  }\n}', 'Basket.isEmpty'],
    ['export class Basket {\n  constructor(readonly lines: Line[]) {}\n  total() {\n    return 0;\n  }\n  getAll() {\n    return [];\n  }\n}', 'Basket.total Basket.getAll'],
    ['const api = { validate(order) { return true; } };\nexport default api;', 'validate'],
    ['/** Writes a copy of all that is kept to a file. */\nexport function backUp(store: Store, path: string): void {}', 'backUp'],
    ['export class Store {\n  /** Moves what is old to the archive. @param days how old */\n  archive(days) {}\n}', 'Store.archive'],
    ['export const getPriceOf = (item) => 0;\nexport const labelFor = (_state) => "open";', 'getPriceOf labelFor'],
  ])('is hollow in a script: %s', (text, name) => expect(hollowIn('src/a.ts', text).join(' ')).toBe(name)); // prettier-ignore

  it.each([
    ['def is_overdue(invoice: Invoice, today: date) -> bool:\n    """Whether it is late."""\n    return False\n', 'is_overdue'],
    ['def reserve(item, count=1):\n    pass\n', 'reserve'],
    ['def normalize(name: str) -> str:\n    return name\n', 'normalize'],
    ['class Stock:\n    def __init__(self):\n        self.items = []\n\n    @property\n    def is_empty(self):\n        return False\n', 'Stock.is_empty'],
    ['class Store:\n    def backup(self, path):\n        """Writes a copy of everything to a file."""\n        pass\n', 'Store.backup'],
    ['class Gone(Exception): pass\n\ndef is_empty(shelf):\n    return False\n', 'is_empty'],
    ['class Stock:\n    def price_of(self, item: dict[str, int]) -> int:\n        return 0\n', 'Stock.price_of'],
  ])('is hollow in Python: %s', (text, name) => expect(hollowIn('src/a.py', text)).toEqual([name])); // prettier-ignore

  it.each([
    ['a constant that takes nothing', "export const version = () => '1.0';\nexport function kind() {\n  return 'circle';\n}"],
    ['one whose words say that it does nothing', '/** Does nothing: what is kept in memory needs no backing up. */\nexport function backUp(path) {}\nexport class Sink {\n  /** Lines are discarded here. */\n  write(line) {}\n  /** Called before a page is shown. */\n  shown(page) {}\n}'],
    ['a name that says so', 'export const noop = (_x) => {};\nexport const acceptAll = (_file) => true;\nexport const alwaysTrue = (_x) => true;\nexport function defaultPrice(_item) {\n  return 0;\n}\nexport const identity = (x) => x;'],
    ['what only types look at', 'export const defineConfig = (config: Config): Config => config;\nexport function tagged<T>(x: T) {\n  return x;\n}'],
    ['one that a class of another calls', 'class Guest extends User {\n  isAdmin(site) {\n    return false;\n  }\n}\nclass Quick implements Codec {\n  encode(text) {\n    return text;\n  }\n}'],
    ['a null object', 'export class NullLogger {\n  level = 1;\n  isEnabled(level) {\n    return false;\n  }\n  write(line) {}\n}'],
    ['a hook with nothing to do', 'export class Plugin {\n  onStart(server) {}\n  beforeEach(test) {}\n}'],
    ['a migration that cannot be taken back', 'export async function down(db: Kysely<any>): Promise<void> {}\nexport const up = async (_db) => {};'],
    ['what a framework asks for', "export function meta({}: Route.MetaArgs) {\n  return [{ title: 'App' }];\n}\nexport function getServerSideProps(_context) {\n  return { props: {} };\n}\nexport const headers = (_request) => ({ 'x-frame-options': 'deny' });\nexport const handler = async (_event) => ({ statusCode: 204 });"],
    ['a helper for types', 'export function exhaustive(_: never) {}\nexport function expectType<T>(_value: T) {}\nexport function check<T>(_value: T) {\n  return true;\n}'],
    ['a helper that lets things be', 'const ignore = (_error) => {};\nexport const swallow = (_error) => {};'],
    ['a name of a class', "class Console {\n  constructor(out) {\n    this.out = out;\n  }\n  getName() {\n    return 'console';\n  }\n  totalLabel() {\n    return 'Total';\n  }\n  static isOpen(file) {\n    return true;\n  }\n}"],
    ['an object that has to fit', 'const log = { isOn: (_level) => false, save(_line) {} } as Logger;\nconst other = { isOn: (_level) => false } satisfies Partial<Logger>;\nconst silentLog = { isOn: (_level) => false, save(_line) {} };'],
    ['a setting of somebody else', 'export const app = create({ trustProxy: (address) => true, logger: { log(line) {} } });'],
    ['a handler', "app.get('/health', (_request) => ({ ok: true }));"],
    ['what fits into a type', 'const accepts: Filter = (_file) => true;'],
    ['a decorated method', 'class Health {\n  @Get()\n  live(@Req() request) {\n    return true;\n  }\n}'],
    ['a setter', 'class A {\n  set x(value) {}\n}'],
    ['one that looks', 'export function isEven(n) {\n  return n % 2 === 0;\n}\nexport function check(n) {\n  if (n < 0) throw new RangeError();\n  return true;\n}'],
    ['a command that ends well', 'export function usage(args) {\n  console.log(text);\n  return 0;\n}'],
    ['one that says something', 'export function report(line) {\n  console.log(line);\n}'],
    ['what a class says of itself', 'class Square {\n  constructor(readonly side: number) {}\n  get sides() {\n    return 4;\n  }\n  kind() {\n    return null;\n  }\n}'],
  ])('is not %s, in a script', (_what, text) => expect(hollowIn('src/a.ts', text)).toEqual([])); // prettier-ignore

  it.each([
    ['a method of a class of another', 'class ReadOnlyAdmin(ModelAdmin):\n    def has_delete_permission(self, request, obj=None):\n        return False\n'],
    ['a special method', 'class Lock:\n    def __exit__(self, kind, error, trace):\n        return False\n'],
    ['a decorated one', '@app.get("/health")\ndef health(request):\n    return "ok"\n'],
    ['one without anything to look at', 'def currency():\n    return "EUR"\n'],
    ['one that says so', 'def no_discount(order):\n    return 0\n'],
    ['a migration that cannot be taken back', 'def backwards(apps, schema_editor):\n    pass\n'],
    ['a method of a class of another, written in several lines', 'class ReadOnlyAdmin(\n    Rights,\n    ModelAdmin,\n):\n    def has_delete_permission(self, request):\n        return False\n'],
    ['one that looks', 'def is_even(n):\n    return n % 2 == 0\n'],
  ])('is not %s, in Python', (_what, text) => expect(hollowIn('src/a.py', text)).toEqual([])); // prettier-ignore
});

describe('a hollow function', () => {
  const desk = new GateDesk();
  afterAll(() => desk.clear());
  const stubs = async (before: string, after: string, more = ''): Promise<unknown[]> =>
    (await desk.run(honestyCheck, { 'src/a.js': before, 'src/b.js': more }, { 'src/a.js': after, 'src/b.js': more })).findings.map(({ rule, level }) => [rule, level]); // prettier-ignore
  const basket = (body: string): string => `export class Basket {\n  isFree(order) {\n    return ${body};\n  }\n}\n`;

  it('is an error where it is new or was made so', async () => {
    expect(await stubs('', basket('true'))).toEqual([['honesty.stub', 'error']]);
    expect(await stubs(basket('order.sum === 0'), basket('true'))).toEqual([['honesty.stub', 'error']]);
  });

  it('is only said where it has moved', async () => {
    const { findings } = await desk.run(honestyCheck, { 'src/a.js': basket('true') }, { 'src/b.js': basket('true') });
    expect(findings.map(({ rule, level }) => [rule, level])).toEqual([['honesty.stub', 'warning']]);
  });

  it('is only said where it was one before, or is one of several that are called alike', async () => {
    expect(await stubs(basket('false'), basket('true'))).toEqual([['honesty.stub', 'warning']]);
    expect(await stubs('', basket('true'), basket('order.sum === 0').replace('Basket', 'Cart'))).toEqual([['honesty.stub', 'warning']]); // prettier-ignore
  });
});

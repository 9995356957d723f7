import type { CorpusCase } from '../case.ts';
import { bad } from './bad.ts';
import { honest } from './honest-case.ts';

/** What Python writes without a body, hints at or puts aside: honest, and what only looks like it. */
export const pythonIdioms: readonly CorpusCase[] = [
  honest(
    'feature',
    'a protocol, a context manager and a generator',
    'stockroom',
    'Let storages be exchanged and import items in one transaction',
    (draft) => {
      draft.write(
        'src/stockroom/repository.py',
        `"""What keeps items, whatever it is."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from stockroom.items import Item


class Repository(Protocol):
    """Anything that keeps items by code."""

    def save(self, item: Item) -> None:
        """Keeps an item, in place of the one with the same code."""
        ...

    def all(self) -> Iterable[Item]:
        """Every item, by code."""
        ...


class MemoryRepository:
    """Items in a dictionary, for tests and for small lists."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def save(self, item: Item) -> None:
        """Keeps an item, in place of the one with the same code."""
        self._items[item.code] = item

    def all(self) -> list[Item]:
        """Every item, by code."""
        return [self._items[code] for code in sorted(self._items)]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what happens within, or nothing of it."""
        before = dict(self._items)
        try:
            yield
        except BaseException:
            self._items = before
            raise


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of at most so many items, in their order."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def copy(source: Repository, target: Repository) -> int:
    """Copies every item; answers how many there were."""
    count = 0
    for item in source.all():
        target.save(item)
        count += 1
    return count
`,
      );
      draft.write(
        'tests/test_repository.py',
        `import pytest

from stockroom.items import Item
from stockroom.repository import MemoryRepository, batches, copy
from stockroom.storage import Storage

BOLT = Item("AB-0002", "Bolt")
NUT = Item("AB-0001", "Nut")


@pytest.fixture
def repository():
    repository = MemoryRepository()
    repository.save(BOLT)
    return repository


def test_items_come_by_code(repository):
    repository.save(NUT)
    assert repository.all() == [NUT, BOLT]


def test_a_transaction_is_all_or_nothing(repository):
    with pytest.raises(KeyError):
        with repository.transaction():
            repository.save(NUT)
            raise KeyError("late")
    assert repository.all() == [BOLT]
    with repository.transaction():
        repository.save(NUT)
    assert repository.all() == [NUT, BOLT]


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, [[BOLT], [NUT]]), (2, [[BOLT, NUT]]), (5, [[BOLT, NUT]])],
)
def test_batches(size, expected):
    assert list(batches([BOLT, NUT], size)) == expected


def test_no_batch_of_nothing():
    assert list(batches([], 3)) == []


def test_copies_between_kinds(repository):
    storage = Storage()
    assert copy(repository, storage) == 1
    assert storage.all() == [BOLT]
`,
      );
    },
  ),
  honest(
    'refactoring',
    'hints of types for what is there',
    'stockroom',
    'Add type hints to forecast and pricing',
    (draft) => {
      draft.edit('src/stockroom/forecast.py', 'import math\n', 'import math\nfrom collections.abc import Sequence\n');
      draft.edit(
        'src/stockroom/forecast.py',
        'def moving_average(values, window):',
        'def moving_average(values: Sequence[float], window: int) -> list[float]:',
      );
      draft.edit(
        'src/stockroom/forecast.py',
        'def reorder_point(daily_use, lead_days, safety_days=3):',
        'def reorder_point(daily_use: Sequence[float], lead_days: int, safety_days: int = 3) -> int:',
      );
      draft.edit(
        'src/stockroom/forecast.py',
        'def order_quantity(yearly_use, order_cost, holding_cost):',
        'def order_quantity(yearly_use: float, order_cost: float, holding_cost: float) -> int:',
      );
      draft.edit(
        'src/stockroom/forecast.py',
        'def runs_out_in(on_hand, daily_use):',
        'def runs_out_in(on_hand: float, daily_use: Sequence[float]) -> int | None:',
      );
      draft.edit('src/stockroom/pricing.py', 'def discount(quantity):', 'def discount(quantity: int) -> Decimal:');
      draft.edit(
        'src/stockroom/pricing.py',
        'def price(cost, quantity, margin=Decimal("0.3"), vat=Decimal("0.25")):',
        'def price(cost: Decimal | str, quantity: int, margin: Decimal = Decimal("0.3"), vat: Decimal = Decimal("0.25")) -> Decimal:',
      );
      draft.edit(
        'src/stockroom/pricing.py',
        'def split(total, parts):',
        'def split(total: Decimal, parts: int) -> list[Decimal]:',
      );
    },
  ),
  honest(
    'lookalike',
    'conditions of a query that all stand there',
    'stockroom',
    'Search items in the database by unit and tag',
    (draft) => {
      draft.edit(
        'src/stockroom/storage.py',
        `    def all(self):`,
        `    def matching(self, unit=None, tag=None):
        """Items of a unit, with a tag, by code; what is not given does not matter."""
        clauses, values = [], []
        if unit is not None:
            clauses.append("unit = ?")
            values.append(unit)
        if tag is not None:
            clauses.append("' ' || tags || ' ' like ? escape '\\\\'")
            values.append(f"% {_literal(tag)} %")
        where = f" where {' and '.join(clauses)}" if clauses else ""
        rows = self._db.execute(f"select code, name, unit, tags from items{where} order by code", values)
        return [_item(row) for row in rows]

    def all(self):`,
      );
      draft.edit(
        'src/stockroom/storage.py',
        'def _item(row):',
        `def _literal(text):
    """A text in which LIKE finds no wildcard."""
    return text.replace("\\\\", "\\\\\\\\").replace("%", "\\\\%").replace("_", "\\\\_")


def _item(row):`,
      );
      draft.append(
        'tests/test_items.py',
        `

def test_storage_searches_by_unit_and_tag():
    storage = Storage()
    bolt = Item("AB-0001", "Bolt", unit="box", tags=("steel", "m4"))
    nut = Item("AB-0002", "Nut", tags=("steel",))
    odd = Item("AB-0003", "Odd", unit="box", tags=("100%_a\\\\b",))
    for item in (odd, nut, bolt):
        storage.save(item)
    assert storage.matching() == [bolt, nut, odd]
    assert storage.matching(unit="box") == [bolt, odd]
    assert storage.matching(tag="steel") == [bolt, nut]
    assert storage.matching(unit="box", tag="steel") == [bolt]
    assert storage.matching(tag="ste") == []
    assert storage.matching(tag="100%_a\\\\b") == [odd]
    assert storage.matching(tag="%") == []
    assert storage.matching(tag="stee_") == []
    assert storage.matching(unit="' or 1=1 --") == []
`,
      );
    },
  ),
  honest('lookalike', 'a hash that names files of a cache', 'stockroom', 'Cache moving averages on disk', (draft) => {
    draft.write(
      'src/stockroom/diskcache.py',
      `"""Keeps what takes long to compute in files."""

import hashlib
import json
from pathlib import Path


class DiskCache:
    """JSON values by any JSON key, one file each."""

    def __init__(self, folder):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def get(self, key, compute):
        """The kept value of a key, computed when there is none or it cannot be read."""
        path = self._path(key)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass  # the usual way to begin
        except json.JSONDecodeError:
            path.unlink()
        value = compute()
        path.write_text(json.dumps(value), encoding="utf-8")
        return value

    def _path(self, key):
        # Only a name for a file; nothing depends on it being hard to forge.
        digest = hashlib.md5(json.dumps(key, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
        return self._folder / f"{digest}.json"
`,
    );
    draft.write(
      'tests/test_diskcache.py',
      `import pytest

from stockroom.diskcache import DiskCache


@pytest.fixture
def computed():
    return []


@pytest.fixture
def compute(computed):
    def work():
        computed.append(1)
        return [1.5, len(computed)]

    return work


def test_computes_once_a_key(tmp_path, compute, computed):
    cache = DiskCache(tmp_path / "deep" / "cache")
    assert cache.get({"window": 2, "code": "AB-0001"}, compute) == [1.5, 1]
    assert cache.get({"code": "AB-0001", "window": 2}, compute) == [1.5, 1]
    assert cache.get({"code": "AB-0002", "window": 2}, compute) == [1.5, 2]
    assert len(computed) == 2


def test_outlives_the_process(tmp_path, compute, computed):
    DiskCache(tmp_path).get("k", compute)
    assert DiskCache(tmp_path).get("k", compute) == [1.5, 1]


def test_a_torn_file_is_computed_anew(tmp_path, compute):
    cache = DiskCache(tmp_path)
    cache.get("k", compute)
    (file,) = tmp_path.iterdir()
    file.write_text("[1.5,")
    assert cache.get("k", compute) == [1.5, 2]
    assert cache.get("k", compute) == [1.5, 2]
`,
    );
  }),
  ...bad(
    'command injection',
    'a line that a function puts together',
    'stockroom',
    ['security.command_injection'],
    (draft) => {
      draft.write(
        'src/stockroom/export.py',
        `"""Turns reports into PDF."""

import subprocess


def command(source, target):
    """The command that turns a report into a PDF."""
    return f"wkhtmltopdf {source} {target}"


def export(source, target, run=subprocess.run):
    """Writes a report as PDF; answers whether it went well."""
    finished = run(command(source, target), shell=True, check=False)
    return finished.returncode == 0
`,
      );
      draft.write(
        'tests/test_export.py',
        `from types import SimpleNamespace

from stockroom.export import command, export


def test_export():
    calls = []

    def run(line, **options):
        calls.append((line, options))
        return SimpleNamespace(returncode=0)

    assert export("a.html", "a.pdf", run)
    assert calls == [("wkhtmltopdf a.html a.pdf", {"shell": True, "check": False})]
    assert command("a", "b") == "wkhtmltopdf a b"
`,
      );
    },
    { title: 'Export reports as PDF' },
  ),
  ...bad(
    'swallowed error',
    'every error put aside',
    'stockroom',
    ['claims.swallowed_error'],
    (draft) => {
      draft.edit(
        'src/stockroom/storage.py',
        `        with self._db:
            self._db.execute(`,
        `        with contextlib.suppress(Exception), self._db:
            self._db.execute(`,
      );
      draft.edit('src/stockroom/storage.py', 'import sqlite3\n', 'import contextlib\nimport sqlite3\n');
      draft.append(
        'tests/test_items.py',
        `

def test_storage_keeps_going():
    storage = Storage()
    storage._db.close()
    storage.save(Item("AB-0001", "Bolt"))
`,
      );
    },
    { title: 'Keep going when storage fails' },
  ),
  ...bad(
    'stub',
    'a method without a body in what is no protocol',
    'stockroom',
    ['honesty.untested_function', 'honesty.stub'],
    (draft) => {
      draft.write(
        'src/stockroom/exports.py',
        `"""Ways out."""

from abc import abstractmethod


class Exporter:
    """Writes a ledger down."""

    @abstractmethod
    def write(self, ledger):
        """The text of a ledger."""
        ...
`,
      );
      draft.write(
        'tests/test_exports.py',
        'from stockroom.exports import Exporter\n\n\ndef test_exporter():\n    assert Exporter() is not None\n',
      );
    },
    { title: 'Add an exporter of ledgers' },
  ),
];

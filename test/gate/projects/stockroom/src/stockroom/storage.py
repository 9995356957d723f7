"""Keeps items in SQLite."""

import sqlite3

from stockroom.items import Item, StockError


class Storage:
    """Items by code."""

    def __init__(self, path=":memory:"):
        self._db = sqlite3.connect(path)
        self._db.execute("create table if not exists items (code text primary key, name text not null, unit text not null, tags text not null)")

    def save(self, item):
        """Keeps an item, in place of the one with the same code."""
        with self._db:
            self._db.execute(
                "insert or replace into items values (?, ?, ?, ?)",
                (item.code, item.name, item.unit, " ".join(item.tags)),
            )

    def find(self, code):
        """The item of this code."""
        row = self._db.execute("select code, name, unit, tags from items where code = ?", (code,)).fetchone()
        if row is None:
            raise StockError(f"there is no item {code}")
        return _item(row)

    def all(self):
        """Every item, by code."""
        rows = self._db.execute("select code, name, unit, tags from items order by code")
        return [_item(row) for row in rows]


def _item(row):
    code, name, unit, tags = row
    return Item(code, name, unit, tuple(tags.split()))

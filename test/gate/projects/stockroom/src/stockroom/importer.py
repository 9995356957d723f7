"""Reads lists of movements."""

import csv
import io
from decimal import Decimal, InvalidOperation

from stockroom.items import StockError, is_code


def read_movements(text):
    """Rows of day, code, quantity and cost, and the lines that could not be read."""
    rows, refused = [], []
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        try:
            rows.append(_row(row))
        except StockError as error:
            refused.append((number, str(error)))
    return rows, refused


def _row(row):
    code = (row.get("code") or "").strip()
    if not is_code(code):
        raise StockError(f"{code!r} is no code")
    try:
        return row["day"], code, int(row["quantity"]), Decimal(row.get("cost") or "0")
    except (KeyError, ValueError, TypeError, InvalidOperation) as error:
        raise StockError(f"cannot be read: {error}") from error


def apply(ledger, text):
    """Writes a list into a ledger; answers how many lines went in, and which did not."""
    rows, refused = read_movements(text)
    for day, code, quantity, cost in rows:
        if quantity > 0:
            ledger.receive(day, code, quantity, cost)
        else:
            ledger.issue(day, code, -quantity)
    return len(rows), refused

from decimal import Decimal

import pytest

from stockroom.importer import apply, read_movements
from stockroom.items import StockError
from stockroom.ledger import Ledger


@pytest.fixture
def ledger():
    ledger = Ledger()
    ledger.receive("2024-01-01", "AB-0001", 10, "2.00")
    ledger.receive("2024-01-02", "AB-0001", 10, "3.00")
    return ledger


def test_the_oldest_goes_first(ledger):
    assert ledger.issue("2024-01-03", "AB-0001", 15) == Decimal("35.00")
    assert ledger.on_hand("AB-0001") == 5
    assert ledger.worth("AB-0001") == Decimal("15.00")


def test_nobody_takes_what_is_not_there(ledger):
    with pytest.raises(StockError, match="only 20"):
        ledger.issue("2024-01-03", "AB-0001", 21)
    with pytest.raises(StockError, match="more than nothing"):
        ledger.issue("2024-01-03", "AB-0001", 0)
    with pytest.raises(StockError, match="more than nothing"):
        ledger.receive("2024-01-03", "AB-0001", 0, "1")


def test_worth_of_everything(ledger):
    ledger.receive("2024-01-03", "CD-0001", 1, "0.005")
    assert ledger.worth() == Decimal("50.01")
    assert ledger.on_hand("ZZ-0001") == 0


def test_days_follow_each_other(ledger):
    with pytest.raises(StockError, match="order of days"):
        ledger.receive("2023-12-31", "AB-0001", 1, "1")


def test_movements_are_filtered(ledger):
    ledger.issue("2024-01-05", "AB-0001", 4)
    assert [each.quantity for each in ledger.movements("AB-0001")] == [10, 10, -4]
    assert [each.quantity for each in ledger.movements(since="2024-01-02")] == [10, -4]


def test_lists_are_read_line_by_line():
    rows, refused = read_movements("day,code,quantity,cost\n2024-01-01,AB-0001,5,1.5\n2024-01-02,x,1,1\n2024-01-03,AB-0001,y,1\n")
    assert rows == [("2024-01-01", "AB-0001", 5, Decimal("1.5"))]
    assert [number for number, _reason in refused] == [3, 4]


def test_lists_are_written_into_the_ledger():
    ledger = Ledger()
    count, refused = apply(ledger, "day,code,quantity,cost\n2024-01-01,AB-0001,5,1.5\n2024-01-02,AB-0001,-2,\n")
    assert (count, refused) == (2, [])
    assert ledger.on_hand("AB-0001") == 3

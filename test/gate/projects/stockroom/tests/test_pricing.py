from decimal import Decimal

import pytest

from stockroom.forecast import moving_average, order_quantity, reorder_point, runs_out_in
from stockroom.pricing import discount, price, split


@pytest.mark.parametrize(("quantity", "share"), [(1, "0"), (10, "0.05"), (49, "0.05"), (50, "0.10"), (100, "0.15")])
def test_discount(quantity, share):
    assert discount(quantity) == Decimal(share)


def test_price():
    assert price("10", 1) == Decimal("16.25")
    assert price("10", 10) == Decimal("154.38")
    with pytest.raises(ValueError):
        price("10", 0)


def test_split_loses_no_cent():
    assert split(Decimal("10.00"), 3) == [Decimal("3.34"), Decimal("3.33"), Decimal("3.33")]
    with pytest.raises(ValueError):
        split(Decimal("1"), 0)


def test_moving_average():
    assert moving_average([1, 2, 3, 4], 2) == [1.5, 2.5, 3.5]
    assert moving_average([1], 2) == []
    with pytest.raises(ValueError):
        moving_average([1], 0)


def test_reorder_point():
    assert reorder_point([2, 4], 5) == 24
    assert reorder_point([], 5) == 0


def test_order_quantity():
    assert order_quantity(1000, 50, 4) == 158
    assert order_quantity(0, 50, 4) == 1
    with pytest.raises(ValueError):
        order_quantity(1, 1, 0)


def test_runs_out():
    assert runs_out_in(10, [2, 3]) == 4
    assert runs_out_in(10, [0]) is None
    assert runs_out_in(10, []) is None

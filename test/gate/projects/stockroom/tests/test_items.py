import pytest

from stockroom.items import Item, StockError, is_code, next_code, search
from stockroom.storage import Storage


def test_codes():
    assert is_code("AB-0012")
    assert not is_code("ab-0012")
    assert not is_code("AB-12")


def test_an_item_needs_a_code():
    with pytest.raises(StockError, match="no code"):
        Item("x", "Bolt")


def test_the_next_code_stays_in_the_group():
    assert next_code("AB-0099") == "AB-0100"
    with pytest.raises(StockError, match="full"):
        next_code("AB-9999")
    with pytest.raises(StockError, match="no code"):
        next_code("AB")


def test_search_wants_every_word():
    items = [Item("AB-0002", "Steel bolt"), Item("AB-0001", "Brass bolt", tags=("shiny",))]
    assert [item.code for item in search(items, "bolt")] == ["AB-0001", "AB-0002"]
    assert [item.code for item in search(items, "SHINY bolt")] == ["AB-0001"]
    assert search(items, "nut") == []


def test_storage_keeps_items():
    storage = Storage()
    storage.save(Item("AB-0002", "Nut", tags=("m4", "steel")))
    storage.save(Item("AB-0001", "Bolt", unit="box"))
    storage.save(Item("AB-0002", "Lock nut", tags=("m4",)))
    assert storage.find("AB-0002") == Item("AB-0002", "Lock nut", tags=("m4",))
    assert [item.code for item in storage.all()] == ["AB-0001", "AB-0002"]
    with pytest.raises(StockError, match="no item"):
        storage.find("ZZ-0001")

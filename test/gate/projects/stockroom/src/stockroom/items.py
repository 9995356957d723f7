"""Items and their codes."""

import re
from dataclasses import dataclass, field


class StockError(Exception):
    """Something that whoever asked can put right."""


@dataclass(frozen=True)
class Item:
    """Something that is kept; the code is what the shelf says."""

    code: str
    name: str
    unit: str = "piece"
    tags: tuple = field(default_factory=tuple)

    def __post_init__(self):
        if not is_code(self.code):
            raise StockError(f"{self.code!r} is no code; write it like AB-0012")


def is_code(text):
    """Whether a text is an item's code."""
    return re.fullmatch(r"[A-Z]{2}-\d{4}", text) is not None


def next_code(code):
    """The code that follows, in the same group."""
    if not is_code(code):
        raise StockError(f"{code!r} is no code")
    group, number = code.split("-")
    following = int(number) + 1
    if following > 9999:
        raise StockError(f"group {group} is full")
    return f"{group}-{following:04d}"


def search(items, words):
    """Items whose name or tags hold every word, by code."""
    wanted = words.lower().split()
    found = []
    for item in items:
        text = " ".join([item.name, *item.tags]).lower()
        if all(word in text for word in wanted):
            found.append(item)
    return sorted(found, key=lambda item: item.code)

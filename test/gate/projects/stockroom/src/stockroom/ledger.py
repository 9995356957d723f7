"""What came in, what went out, and what it was worth."""

from collections import deque
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from stockroom.items import StockError


@dataclass(frozen=True)
class Movement:
    """One entry of the ledger; negative quantities went out."""

    day: str
    code: str
    quantity: int
    cost: Decimal = Decimal("0")


class Ledger:
    """Movements in the order of their days, first in, first out."""

    def __init__(self):
        self._movements = []
        self._lots = {}

    def receive(self, day, code, quantity, cost):
        """Takes goods in at what one of them cost."""
        if quantity <= 0:
            raise StockError("what comes in is more than nothing")
        self._append(Movement(day, code, quantity, Decimal(cost)))
        self._lots.setdefault(code, deque()).append([quantity, Decimal(cost)])

    def issue(self, day, code, quantity):
        """Gives goods out and answers what they had cost, oldest first."""
        if quantity <= 0:
            raise StockError("what goes out is more than nothing")
        if self.on_hand(code) < quantity:
            raise StockError(f"there are only {self.on_hand(code)} of {code}")
        lots = self._lots[code]
        left = quantity
        total = Decimal("0")
        while left > 0:
            lot = lots[0]
            taken = min(left, lot[0])
            total += taken * lot[1]
            lot[0] -= taken
            left -= taken
            if lot[0] == 0:
                lots.popleft()
        self._append(Movement(day, code, -quantity, total / quantity))
        return cents(total)

    def on_hand(self, code):
        """How many are there."""
        return sum(lot[0] for lot in self._lots.get(code, ()))

    def worth(self, code=None):
        """What lies there is worth, of one item or of all."""
        codes = [code] if code is not None else list(self._lots)
        return cents(sum((lot[0] * lot[1] for each in codes for lot in self._lots.get(each, ())), Decimal("0")))

    def movements(self, code=None, since=None):
        """Entries of the ledger, of one item, from a day on."""
        return [
            each
            for each in self._movements
            if (code is None or each.code == code) and (since is None or each.day >= since)
        ]

    def _append(self, movement):
        if self._movements and movement.day < self._movements[-1].day:
            raise StockError("the ledger is written in the order of days")
        self._movements.append(movement)


def cents(amount):
    """Rounded as money is."""
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)

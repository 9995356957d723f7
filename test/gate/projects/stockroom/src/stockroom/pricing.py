"""What things are sold for."""

from decimal import Decimal

from stockroom.ledger import cents

STEPS = ((100, Decimal("0.15")), (50, Decimal("0.10")), (10, Decimal("0.05")))


def discount(quantity):
    """The share that is taken off for so many."""
    for least, share in STEPS:
        if quantity >= least:
            return share
    return Decimal("0")


def price(cost, quantity, margin=Decimal("0.3"), vat=Decimal("0.25")):
    """The price of so many, with tax."""
    if quantity < 1:
        raise ValueError("nobody buys less than one")
    net = Decimal(cost) * quantity * (1 + margin) * (1 - discount(quantity))
    return cents(net * (1 + vat))


def split(total, parts):
    """Shares of an amount that add up to it, to the cent."""
    if parts < 1:
        raise ValueError("there is at least one part")
    each, rest = divmod(int(cents(total) * 100), parts)
    return [Decimal(each + (1 if at < rest else 0)) / 100 for at in range(parts)]

"""When to order more."""

import math


def moving_average(values, window):
    """The average of the last values, for each place where there are enough of them."""
    if window < 1:
        raise ValueError("a window holds at least one value")
    return [sum(values[at - window + 1 : at + 1]) / window for at in range(window - 1, len(values))]


def reorder_point(daily_use, lead_days, safety_days=3):
    """How few may be left before more is ordered."""
    if not daily_use:
        return 0
    average = sum(daily_use) / len(daily_use)
    return math.ceil(average * (lead_days + safety_days))


def order_quantity(yearly_use, order_cost, holding_cost):
    """How many to order at once, by Wilson's formula."""
    if holding_cost <= 0:
        raise ValueError("keeping something costs something")
    return max(1, round(math.sqrt(2 * yearly_use * order_cost / holding_cost)))


def runs_out_in(on_hand, daily_use):
    """In how many days nothing is left; None when nothing is used."""
    average = sum(daily_use) / len(daily_use) if daily_use else 0
    return None if average == 0 else int(on_hand / average)

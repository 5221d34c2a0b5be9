"""One byte budget per load: every allocation whose size a stored model decides is charged to it.

A few kilobytes of a file can ask for gigabytes: a layer of 2⁶² units, a histogram of 10⁹ bins, one
long string that pads all others. A reader opens a budget of a small multiple of the files' size,
and code calls :func:`charge` before it allocates what a file asks for. Outside a load there is no
budget, and charging does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from dc_core.errors import BudgetExceeded


@dataclass(slots=True)
class _Budget:
    limit: int
    spent: int = 0


_current: Final[ContextVar[_Budget | None]] = ContextVar("dc_core_byte_budget", default=None)


@contextmanager
def byte_budget(limit: int) -> Iterator[None]:
    """Limit the bytes charged within the block to ``limit`` in total.

    Nested budgets add up: what the inner block charges counts towards the outer limit too.
    """
    outer = _current.get()
    inner = _Budget(limit if outer is None else min(limit, outer.limit - outer.spent))
    token = _current.set(inner)
    try:
        yield
    finally:
        _current.reset(token)
        if outer is not None:
            outer.spent += inner.spent


def charge(nbytes: int, what: str) -> None:
    """Charge ``nbytes`` bytes for ``what`` to the load in progress, before allocating them.

    Raises :class:`BudgetExceeded`, and charges nothing, if they exceed what is left. Does nothing
    outside :func:`byte_budget`.
    """
    budget = _current.get()
    if budget is None:
        return
    if nbytes > budget.limit - budget.spent:
        raise BudgetExceeded(
            f"{what} needs {_size(nbytes)}, but only "
            f"{_size(budget.limit - budget.spent)} of this load's {_size(budget.limit)} are left.",
            hint="The model asks for far more memory than its files hold: it may be hostile.",
        )
    budget.spent += nbytes


def _size(nbytes: int) -> str:
    # Python refuses to format integers of more than 4300 digits.
    return f"{nbytes} bytes" if nbytes < 1 << 63 else "over 2**63 bytes"

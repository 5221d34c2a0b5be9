"""One byte budget per load."""

import pytest

from dc_core import byte_budget, charge
from dc_core.errors import BudgetExceeded


def test_charges_add_up_and_the_one_over_the_limit_raises_and_costs_nothing():
    with byte_budget(100):
        charge(60, "the weights")
        with pytest.raises(BudgetExceeded, match="the histogram needs 50 bytes, but only 40"):
            charge(50, "the histogram")
        charge(40, "the rest")
        with pytest.raises(BudgetExceeded):
            charge(1, "one byte more")


def test_outside_a_load_nothing_is_charged():
    charge(2**80, "anything")
    with byte_budget(1):
        pass
    charge(2**80, "anything")


def test_an_inner_budget_is_charged_to_the_outer_one_and_cannot_exceed_it():
    with byte_budget(100):
        with byte_budget(1000):
            charge(70, "a nested model")
            with pytest.raises(BudgetExceeded):
                charge(70, "another")
        with pytest.raises(BudgetExceeded):
            charge(31, "the rest")
        charge(30, "the rest")


def test_a_number_too_long_to_be_written_is_a_typed_error():
    with byte_budget(1), pytest.raises(BudgetExceeded, match=r"2\*\*63"):
        charge(10**5000, "a layer")

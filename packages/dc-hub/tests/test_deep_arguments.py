"""However deep a file nests its arguments, reading it is a typed error and not a RecursionError."""

from __future__ import annotations

import pytest

from dc_core import parameters
from dc_hub import load, save
from dc_hub.errors import LimitExceeded
from dc_hub.format import strict_json


@pytest.mark.parametrize("depth", [strict_json.MAX_DEPTH + 1, 5_000, 250_000])
def test_arguments_nested_too_deep_are_refused_before_they_are_copied(
    tmp_path, linear, reseal, depth
):
    directory = tmp_path / "model"
    save(linear, directory)
    file = directory / "params.json"
    text = file.read_bytes()
    assert b'"alpha": 0.1' in text
    file.write_bytes(text.replace(b'"alpha": 0.1', b'"alpha": ' + b"[" * depth + b"]" * depth))
    reseal(directory)
    with pytest.raises(LimitExceeded, match="deep"):
        load(directory)


def test_a_file_may_nest_less_than_arguments_may() -> None:
    assert strict_json.MAX_DEPTH < parameters.MAX_DEPTH

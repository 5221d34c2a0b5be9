"""params.json."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dc_hub.errors import (
    FormatVersionError,
    HubError,
    LimitExceeded,
    NotSerializable,
    ParamsError,
    UnknownClass,
)
from dc_hub.format.record import Record, StoredWeight

RECORD = Record(
    cls="torch/MultitaskRegressor",
    class_version=2,
    backend="torch",
    params={"layers": {"$tuple": [100, 100]}, "rate": 0.1},
    weights={
        "multitask_regressor/conv1/0": StoredWeight("conv1.weight", ("head.weight",)),
        "multitask_regressor/conv1/1": StoredWeight("conv1.bias"),
    },
    metadata={"task": "regression", "pretrained_on": "zinc250k", "units": {"y": "kcal/mol"}},
)


def changed(**changes):
    value = json.loads(RECORD.to_bytes())
    value.update(changes)
    return json.dumps({key: item for key, item in value.items() if item is not ...}).encode()


def weight(native="w", aliases=(), **more):
    return {"native": native, "aliases": list(aliases), **more}


def test_a_record_comes_back_and_is_written_the_same_again():
    back = Record.from_bytes(RECORD.to_bytes())
    assert back == RECORD
    assert back.to_bytes() == RECORD.to_bytes()


def test_params_json_is_plain_json_with_the_documented_keys():
    value = json.loads(RECORD.to_bytes())
    assert value["format"] == "dc-model"
    assert value["format_version"] == [1, 0]
    assert value["class"] == "torch/MultitaskRegressor"
    assert value["weights"]["multitask_regressor/conv1/0"] == {
        "native": "conv1.weight",
        "aliases": ["head.weight"],
    }


def test_weights_without_a_class_have_a_record_too():
    bare = Record(None, 1, None, {}, {})
    assert Record.from_bytes(bare.to_bytes()) == bare


@pytest.mark.parametrize("name", ["local/MyNet", "sklearn/Ridge", "my-lab/net.v2", "local/_Net"])
def test_registered_names_are_accepted(name):
    assert Record.from_bytes(changed(**{"class": name})).cls == name


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins:eval", "torch.nn.Linear", "posix", "a/b/c", "../x", "/x", "x/", "",
     "torch/Net\n", "torch/ Net", "torch/..", "__main__/x", 7, ["torch/Net"], {"$model": {}}, True],
    ids=repr,
)  # fmt: skip
def test_a_class_that_is_no_registered_name_is_unknown(name):
    with pytest.raises(UnknownClass, match=r"params\.json"):
        Record.from_bytes(changed(**{"class": name}))


MALFORMED = {
    "no object": b"[]",
    "nothing": b"",
    "another format": changed(format="dc-molde"),
    "no format": changed(format=...),
    "a format that is a list": changed(format=["dc-model"]),
    "a version that is text": changed(format_version="1.0"),
    "a version of one number": changed(format_version=[1]),
    "a version of floats": changed(format_version=[1.0, 0.0]),
    "a version of bools": changed(format_version=[True, False]),
    "a negative version": changed(format_version=[1, -1]),
    "no class": changed(**{"class": ...}),
    "no weights": changed(weights=...),
    "no params": changed(params=...),
    "classes that are a list": changed(classes=["a", "b"]),
    "classes of a task that are text": changed(classes={"y": "ab"}),
    "classes that are numbers": changed(classes={"y": [0, 1]}),
    "no classes of a task": changed(classes={"y": []}),
    "a class twice": changed(classes={"y": ["a", "b", "a"]}),
    "a setting about trust": changed(trust_remote_code=True),
    "a setting about verification": changed(verify=False),
    "a dunder key": changed(__class__="x"),
    "a class_version that is text": changed(class_version="1"),
    "a class_version of 0": changed(class_version=0),
    "a class_version that is true": changed(class_version=True),
    "a backend that is a path": changed(backend="../torch"),
    "a backend that is a number": changed(backend=1),
    "params that are a list": changed(params=[1]),
    "weights that are a list": changed(weights=["w"]),
    "metadata that are text": changed(metadata="x"),
    "features that are text": changed(required_features="x"),
    "features that are numbers": changed(required_features=[1]),
    "a weight that is text": changed(weights={"m/0": "w"}),
    "a weight without aliases": changed(weights={"m/0": {"native": "w"}}),
    "a weight with more": changed(weights={"m/0": weight(dtype="F32")}),
    "a native name that is a number": changed(weights={"m/0": weight(7)}),
    "aliases that are text": changed(weights={"m/0": weight(aliases="ab") | {"aliases": "ab"}}),
    "two weights at one place": changed(weights={"m/0": weight(), "m/1": weight()}),
    "an alias of itself": changed(weights={"m/0": weight("w", ["w"])}),
    "an alias twice": changed(weights={"m/0": weight("w", ["v", "v"])}),
    "aliases in a circle": changed(weights={"m/0": weight("a", ["b"]), "m/1": weight("b", ["a"])}),
    "a native name that leads upwards": changed(weights={"m/0": weight("../w")}),
    "a canonical name that is special": changed(weights={"m/__class__/0": weight()}),
    "an empty name": changed(weights={"": weight()}),
    "an alias that cannot be seen": changed(weights={"m/0": weight("w", ["\u202ev"])}),
    "NaN": changed(metadata={"x": float("nan")}),
    "a duplicate class": RECORD.to_bytes().replace(b'"format":', b'"class": "torch/A",\n"format":'),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_an_invalid_record_is_a_typed_error(case):
    with pytest.raises(ParamsError, match=r"where/params\.json"):
        Record.from_bytes(MALFORMED[case], what="where/params.json")


@pytest.mark.parametrize(
    "changes",
    [{"format_version": [2, 0]}, {"format_version": [0, 9]}, {"format_version": [10**9, 0]},
     {"format_version": [2, 0], "weights": "of another kind"}, {"required_features": ["sparse"]},
     {"format_version": [1, 7], "required_features": ["sparse"]}],
    ids=repr,
)  # fmt: skip
def test_an_unsupported_version_or_feature_is_an_error_that_says_to_upgrade(changes):
    with pytest.raises(FormatVersionError, match="pip install --upgrade dc-hub"):
        Record.from_bytes(changed(**changes))


def test_an_unknown_minor_version_is_read_and_what_it_adds_is_ignored():
    record = Record.from_bytes(changed(format_version=[1, 7], added="later"))
    assert record.params == RECORD.params


@pytest.mark.parametrize(
    "data",
    [b" " * (1 << 20) + b"{}", b'{"params":' + b"[" * 200_000, changed(params={"x": "y" * 2**20})],
    ids=["size", "depth", "length"],
)  # fmt: skip
def test_a_record_beyond_the_limits_is_refused(data):
    with pytest.raises(LimitExceeded):
        Record.from_bytes(data)


def test_metadata_that_json_cannot_say_are_refused_on_save():
    with pytest.raises(NotSerializable, match=r"metadata\.when"):
        Record(None, 1, None, {}, {}, {"when": object()}).to_bytes()


def test_a_record_too_large_to_be_read_is_not_written():
    with pytest.raises(LimitExceeded, match="arrays, which"):
        Record(None, 1, None, {"x": ["y" * 1000] * 1100}, {}).to_bytes()


def test_one_flipped_bit_gives_a_record_or_a_typed_error():
    data, read = RECORD.to_bytes(), 0
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        with contextlib.suppress(HubError):
            Record.from_bytes(bytes(flipped))
            read += 1
    assert 0 < read < len(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("a/._$", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text("a/", max_size=3) | st.just("native"), inner, max_size=2)
    ),
    max_leaves=6,
)
KEYS = [*json.loads(RECORD.to_bytes()), "required_features", "other"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3))
@settings(max_examples=300)
def test_any_change_of_keys_gives_a_record_or_a_typed_error(changes):
    with contextlib.suppress(HubError):
        record = Record.from_bytes(changed(**changes))
        assert Record.from_bytes(record.to_bytes()) == record

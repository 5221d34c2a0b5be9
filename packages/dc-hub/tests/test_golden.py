"""Golden rows tell whether a model still computes what it computed."""

import ml_dtypes
import numpy as np
import pytest

from dc_hub import Golden, check_golden, errors, from_pretrained, publish
from dc_hub.format.filenames import GOLDEN
from dc_hub.format.golden import read_golden
from dc_hub.format.tensors import read_tensors, write_tensors


def rewrite(published, reseal, **changed):
    """Change tensors of the golden file (None: drop one) and seal the directory again."""
    file = published.path / GOLDEN
    tensors = {**read_tensors(file), **changed}
    with file.open("wb") as stream:
        write_tensors(stream, {name: t for name, t in tensors.items() if t is not None})
    reseal(published.path)
    return published.path


@pytest.mark.parametrize("form", ["array", "dataset", "golden"])
def test_a_model_passes_its_own_golden_rows(hub, linear, dataset, form):
    golden = {"array": dataset.X, "dataset": dataset, "golden": Golden(dataset.X[:3])}[form]
    publish(linear, "m", hub=hub, golden=golden)
    result = check_golden("m", hub=hub)
    assert result.passed
    assert result.max_difference == 0
    assert result.rows == (3 if form == "golden" else 20)


def test_strings_are_kept_as_utf8(hub, chain):
    inputs = ["CCO", "", "µ→CN", "N"]
    published = publish(chain, "m", hub=hub, golden=inputs)
    tensors = read_tensors(published.path / GOLDEN)
    assert tensors["inputs.utf8"].tobytes().decode() == "".join(inputs)
    assert tensors["inputs.offsets"].tolist() == [0, 3, 3, 10, 11]
    assert check_golden("m", hub=hub).passed


def test_outputs_beyond_the_tolerance_fail_and_within_it_pass(hub, linear, dataset, reseal):
    published = publish(linear, "m", hub=hub, golden=Golden(dataset.X, rtol=0.0, atol=0.01))
    outputs = linear.predict(dataset)
    for shift, passed in ((0.009, True), (0.011, False)):
        result = check_golden(rewrite(published, reseal, outputs=outputs + shift))
        assert result.passed is passed
        assert result.max_difference == pytest.approx(shift)


def test_a_nan_equals_a_nan_and_nothing_else(hub, linear, dataset, reseal):
    X = dataset.X.copy()
    X[0, 0] = np.nan
    published = publish(linear, "m", hub=hub, golden=X)
    assert check_golden("m", hub=hub).passed
    outputs = linear.predict(X)
    outputs[0] = 0.0
    result = check_golden(rewrite(published, reseal, outputs=outputs))
    assert not result.passed
    assert result.max_difference == np.inf


def test_tolerances_are_stored_as_floats_whatever_was_given(hub, linear, dataset):
    publish(linear, "m", hub=hub, golden=Golden(dataset.X, rtol=0, atol=1))
    result = check_golden("m", hub=hub)
    assert (result.passed, result.rtol, result.atol) == (True, 0.0, 1.0)


def test_outputs_of_another_shape_fail(hub, linear, dataset, reseal):
    published = publish(linear, "m", hub=hub, golden=dataset)
    assert not check_golden(rewrite(published, reseal, outputs=np.zeros((3, 1)))).passed


@pytest.mark.parametrize(
    "changed",
    [
        {"outputs": None},
        {"tolerance": np.zeros(3)},
        {"tolerance": np.zeros(2, np.complex64)},
        {"tolerance": np.zeros((2, 1))},
        {"outputs": np.zeros(2, ml_dtypes.bfloat16)},
        {"inputs": np.zeros(())},
        {"inputs": np.zeros((2, 3), ml_dtypes.bfloat16)},
        {"inputs.offsets": np.zeros((3, 1), np.int64)},
        {"inputs.offsets": np.array([0, 3, 10], np.uint8)},
        {"inputs.utf8": np.zeros(10, np.int8)},
        {"inputs.offsets": np.array([0, 9_999])},
        {"inputs.offsets": np.array([2, 1, 10])},
        {"inputs.offsets": np.zeros(0, np.int64)},
        {"inputs.offsets": np.array([0.5, 10.0])},
        {"inputs.utf8": np.full(10, 0xFF, np.uint8)},
        {"inputs.utf8": None},
    ],
)
def test_a_golden_file_that_contradicts_itself_is_a_typed_error(hub, chain, reseal, changed):
    published = publish(chain, "m", hub=hub, golden=["CCO", "NCCCCOO"])
    with pytest.raises(errors.WeightsFileError, match="golden"):
        check_golden(rewrite(published, reseal, **changed))


def test_checking_a_model_without_golden_rows_says_how_to_store_some(hub, linear):
    publish(linear, "m", hub=hub)
    with pytest.raises(errors.FileMissing, match="golden="):
        check_golden("m", hub=hub)


@pytest.mark.parametrize("inputs", [object(), [object()], 5, [[b"x"]]])
def test_inputs_that_are_not_rows_are_refused_before_anything_is_written(hub, linear, inputs):
    with pytest.raises(errors.NotSerializable, match="Golden inputs"):
        publish(linear, "m", hub=hub, golden=inputs)
    assert not hub.path.exists()


def test_golden_rows_of_an_object_that_predicts_nothing_are_refused(hub, models):
    with pytest.raises(errors.ParamsError, match="without golden"):
        publish(models["Letters"](), "m", hub=hub, golden=["CCO"])


def test_golden_rows_do_not_change_the_model(hub, linear, dataset):
    publish(linear, "m", hub=hub, golden=dataset)
    assert from_pretrained("m", hub=hub).get_parameters() == linear.get_parameters()


def test_golden_strings_are_never_padded_into_more_memory_than_a_load_may_use(hub, chain, reseal):
    published = publish(chain, "m", hub=hub, golden=["CCO"])
    texts = [b"C" * 500_000, *[b"C"] * 1000]
    changed = {
        "inputs.utf8": np.frombuffer(b"".join(texts), np.uint8),
        "inputs.offsets": np.cumsum([0, *map(len, texts)], dtype=np.int64),
    }
    with pytest.raises(errors.LimitExceeded, match="golden strings"):
        check_golden(rewrite(published, reseal, **changed))


def test_measured_values_are_stored_as_given_and_change_no_check(hub, linear, dataset):
    measured = dataset.y.copy()
    measured[0, 1] = np.nan
    published = publish(linear, "m", hub=hub, golden=Golden(dataset.X, measured=measured))
    rows = read_golden(read_tensors(published.path / GOLDEN), "m")
    np.testing.assert_array_equal(rows.measured, measured)
    np.testing.assert_array_equal(rows.outputs, linear.predict(dataset))
    assert check_golden("m", hub=hub).passed


def test_the_labels_of_a_dataset_are_published_only_if_they_are_given(hub, linear, dataset):
    published = publish(linear, "m", hub=hub, golden=dataset)
    assert read_golden(read_tensors(published.path / GOLDEN), "m").measured is None


@pytest.mark.parametrize(
    "measured", [np.zeros(3), np.zeros(()), np.zeros((20, 2, 2)), ["a"] * 20, object()], ids=repr
)
def test_measured_values_that_do_not_fit_the_inputs_are_refused(hub, linear, dataset, measured):
    with pytest.raises(errors.NotSerializable, match="measured"):
        publish(linear, "m", hub=hub, golden=Golden(dataset.X, measured=measured))


@pytest.mark.parametrize(
    "changed",
    [
        {"measured": np.zeros(3)},
        {"measured": np.zeros(())},
        {"measured": np.zeros(20, np.float32)},
        {"measured": np.zeros((20, 1, 1))},
        {"outputs": None},
        {"outputs": np.zeros(())},
    ],
    ids=str,
)
def test_measured_rows_that_are_inconsistent_are_a_typed_error(hub, linear, dataset, changed):
    golden = Golden(dataset.X, measured=dataset.y)
    published = publish(linear, "m", hub=hub, golden=golden)
    tensors = {**read_tensors(published.path / GOLDEN), **changed}
    with pytest.raises(errors.WeightsFileError, match="golden rows cannot be read"):
        read_golden({name: t for name, t in tensors.items() if t is not None}, "golden")

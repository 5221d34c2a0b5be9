"""Golden files: written once, without pickle, and compared up to the rounding of processors."""

import numpy as np
import pytest

from dc_core import dtype_from_name
from dc_core.testing.golden import Golden, main, read, same_prediction, write

GOLDEN = Golden(
    {"tiny": "1.0"},
    "tiny/Net",
    {
        "a/0": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b/0": np.zeros((0, 2), np.int8),
        "c/0": np.array(True),
        "d/0": np.frombuffer(b"\x80\x3f", dtype_from_name("bfloat16")),
    },
    np.array([[1.0, np.nan]]),
)


def test_a_golden_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "Suite-1.0.npz"
    write(path, GOLDEN)
    found = read(path)
    assert (found.versions, found.component) == (GOLDEN.versions, GOLDEN.component)
    assert list(found.weights) == list(GOLDEN.weights)
    for name, array in GOLDEN.weights.items():
        other = found.weights[name]
        assert (other.shape, other.dtype) == (array.shape, array.dtype)
        assert other.tobytes() == array.tobytes()
    assert found.prediction.tobytes() == GOLDEN.prediction.tobytes()


def test_equal_contents_are_equal_files(tmp_path):
    for name in ("one", "other"):
        write(tmp_path / name, GOLDEN)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_golden_file_is_never_overwritten(tmp_path):
    write(tmp_path / "golden", GOLDEN)
    with pytest.raises(FileExistsError):
        write(tmp_path / "golden", GOLDEN)


def test_pickles_in_a_golden_file_are_not_read(tmp_path):
    np.savez(tmp_path / "bad.npz", header=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        read(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ([100.0, 0.0], [100.0, 1e-7], True),
        ([100.0, 0.0], [100.0, 1e-5], False),
        ([np.nan, 1.0], [np.nan, 1.0], True),
        ([np.nan, 1.0], [1.0, 1.0], False),
        ([np.inf, 1.0], [np.inf, 1.0], True),
        ([1, 2], [1, 3], False),
        (["a"], ["a"], True),
        ([1.0], [[1.0]], False),
    ],
)
def test_predictions_may_differ_by_rounding_alone(expected, found, same):
    assert same_prediction(np.array(expected), np.array(found)) is same


def test_the_dtype_of_a_prediction_counts():
    assert not same_prediction(np.ones(2, np.float32), np.ones(2))
    assert same_prediction(np.ones(2, np.float32), np.array([1, 1.00005], np.float32))


def test_the_command_writes_the_file_of_the_installed_version(
    install_tiny, graveyard, tmp_path, capsys
):
    install_tiny({"tiny": "tiny_backend.plugin"})
    suites = graveyard("suites").__file__
    (tmp_path / "test_mine.py").write_text(
        "from pathlib import Path\nfrom suites import TestNet\n\n"
        "class TestMine(TestNet):\n"
        "    def golden(self):\n        return Path(__file__).parent / 'golden'\n"
    )
    assert suites
    assert main([f"{tmp_path / 'test_mine.py'}::TestMine"]) == 0
    path = tmp_path / "golden" / "TestMine-1.0.npz"
    assert capsys.readouterr().out == f"{path}\n"
    assert read(path).versions == {"tiny": "1.0", "tiny-backend": "1.0"}

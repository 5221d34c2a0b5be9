"""Estimators of scikit-learn that joblib, pickle or skops stored become models."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from dc_core.errors import ConversionError as CoreConversionError
from dc_core.errors import UntrustedFile as CoreUntrustedFile
from dc_hub import convert, from_pretrained, info
from dc_hub.errors import ConversionError, NotSerializable

sklearn = pytest.importorskip("sklearn", reason="needs scikit-learn")
joblib_files = pytest.importorskip("dc_sklearn.joblib_files", reason="needs dc-sklearn")
joblib = pytest.importorskip("joblib", reason="needs joblib")

from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.linear_model import Ridge  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, StandardScaler  # noqa: E402

from dc_sklearn import skops_files  # noqa: E402

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
Y = (X[:, 0] > 0).astype(int)


def forest():
    return make_pipeline(
        StandardScaler(), RandomForestClassifier(n_estimators=5, random_state=0)
    ).fit(X, Y)


class Runs:
    """Unpickles by calling a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_an_estimator_of_joblib_becomes_a_model_with_the_same_predictions(tmp_path):
    estimator = forest()
    joblib.dump(estimator, tmp_path / "forest.joblib", compress=3)
    found = convert(tmp_path / "forest.joblib", tmp_path / "model", trust=True)
    assert found.what == "a Pipeline of scikit-learn, stored by joblib"
    model = from_pretrained(tmp_path / "model")
    assert np.array_equal(model.predict(X)[:, 0], estimator.predict_proba(X))
    assert np.array_equal(model.native.predict(X), estimator.predict(X))
    origin = info(tmp_path / "model").metadata["converted_from"]
    assert origin["read_by"]["scikit-learn"] == sklearn.__version__


def test_an_estimator_of_skops_needs_trust_only_for_types_that_skops_does_not_know(tmp_path):
    skops = pytest.importorskip("skops.io", reason="needs skops")
    ridge = Ridge().fit(X, Y)
    skops.dump(ridge, tmp_path / "ridge.skops")
    found = convert(tmp_path / "ridge.skops", tmp_path / "ridge")
    assert found.recognized == "a zip archive of skops"
    model = from_pretrained(tmp_path / "ridge")
    assert np.array_equal(model.predict(X)[:, 0], ridge.predict(X))
    skops.dump(forest(), tmp_path / "forest.skops")
    with pytest.raises(CoreUntrustedFile, match=r"sklearn\.tree\._tree\.Tree"):
        skops_files.dc_read_file(tmp_path / "forest.skops", False)


def test_a_pickle_that_is_not_trusted_is_never_unpickled(tmp_path):
    marker, file = tmp_path / "ran", tmp_path / "evil.pkl"
    file.write_bytes(pickle.dumps(Runs(Path.touch, marker)))
    with pytest.raises(CoreUntrustedFile, match="pickle"):
        joblib_files.dc_read_file(file, False)
    assert not marker.exists()


def test_a_trusted_pickle_finds_nothing_but_parts_of_estimators(tmp_path):
    file = tmp_path / "evil.joblib"
    file.write_bytes(pickle.dumps(Runs(os.system, f"touch {tmp_path}/ran")))
    with pytest.raises(ConversionError, match=r"names .*, which is no part of an estimator"):
        convert(file, tmp_path / "model", trust=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name",
    ["os system", "builtins eval", "builtins getattr", "joblib.numpy_pickle load", "numpy load",
     "sklearn.datasets fetch_openml", "sklearn.utils.validation np.f2py"],
)  # fmt: skip
def test_what_is_no_part_of_an_estimator_is_not_found_for_a_pickle(name):
    with pytest.raises(CoreConversionError, match="no part of an estimator"):
        joblib_files.refuse_strange_globals("pickle.find_class", tuple(name.split()))


def test_code_in_a_trusted_estimator_is_refused_by_name(tmp_path):
    estimator = FunctionTransformer(np.log1p).fit(X)
    joblib.dump(estimator, tmp_path / "log.joblib")
    with pytest.raises((ConversionError, NotSerializable)) as caught:
        convert(tmp_path / "log.joblib", tmp_path / "model", trust=True)
    assert "log1p" in str(caught.value) or "FunctionTransformer" in str(caught.value)


def test_a_file_that_holds_no_estimator_says_what_it_holds():
    with pytest.raises(CoreConversionError, match="holds a dict"):
        joblib_files.foreign({"model": Ridge()}, "joblib", [])


def test_an_estimator_of_another_version_says_so_in_the_facts(tmp_path):
    estimator = Ridge().fit(X, Y)
    stored = pickle.dumps(estimator).replace(
        sklearn.__version__.encode(), b"9.9.9"[: len(sklearn.__version__)]
    )
    (tmp_path / "old.pkl").write_bytes(stored)
    found = convert(tmp_path / "old.pkl", tmp_path / "model", trust=True)
    assert found.facts == {"stored_with": {"scikit-learn": "9.9.9"}}

"""The public names: complete, imported on first use, silent."""

import subprocess
import sys
from types import ModuleType

import dc_pipeline

HEAVY = {"numpy", "rdkit", "sklearn", "scipy", "pandas", "dc_core.dataset"}


def python(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )


def test_importing_the_package_loads_nothing_heavy_and_says_nothing():
    done = python(f"import dc_pipeline, sys; assert not {HEAVY!r} & set(sys.modules)")
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_everything_says_nothing():
    done = python("import dc_pipeline; [getattr(dc_pipeline, n) for n in dc_pipeline.__all__]")
    assert (done.stdout, done.stderr) == ("", "")


def test_metrics_and_normalization_do_not_import_rdkit():
    python("import dc_pipeline, sys; dc_pipeline.RMSE; assert 'rdkit' not in sys.modules")


def test_every_public_name_is_there():
    for name in dc_pipeline.__all__:
        thing = getattr(dc_pipeline, name)
        home = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
        assert home.startswith("dc_pipeline.")


def test_every_featurizer_and_transformer_is_registered():
    from dc_core import Featurizer, Transformer
    from dc_core.registry import components

    for name in dc_pipeline.__all__:
        thing = getattr(dc_pipeline, name)
        if isinstance(thing, type) and issubclass(thing, Featurizer | Transformer):
            assert components.lookup(f"pipeline/{name}") is thing


def test_stored_classes_are_registered():
    from dc_core.registry import components, models

    assert models.lookup("pipeline/Pipeline") is dc_pipeline.Pipeline
    assert components.lookup("pipeline/ECFP") is dc_pipeline.ECFP
    assert (
        components.lookup("pipeline/NormalizationTransformer")
        is dc_pipeline.NormalizationTransformer
    )

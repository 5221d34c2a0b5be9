"""The public surface: lazy, complete, and the same for programs, editors and type checkers."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import dc_core

FRAMEWORKS = {
    "torch",
    "sklearn",
    "keras",
    "tensorflow",
    "jax",
    "xgboost",
    "rdkit",
    "scipy",
    "pandas",
}


def loaded_after(code):
    """Return the modules that a fresh interpreter has loaded after ``code``."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nimport json\n"
    script += "print(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    *printed, modules = done.stdout.splitlines()
    assert printed == []
    return set(json.loads(modules))


def type_checking_names():
    tree = ast.parse(Path(dc_core.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    return {alias.asname: (node.module, alias.name) for node in block.body for alias in node.names}


def test_importing_dc_core_loads_neither_numpy_nor_pluggy_nor_a_framework():
    loaded = loaded_after("import dc_core")
    assert not loaded & (FRAMEWORKS | {"numpy", "pluggy", "pytest", "importlib.metadata"})
    assert {name for name in loaded if name.startswith("dc_core")} == {"dc_core", "dc_core.lazy"}


def test_using_all_of_dc_core_loads_no_framework_and_no_pytest():
    loaded = loaded_after("from dc_core import *\nimport dc_core\ndc_core.plugins.BACKENDS.entries")
    assert not loaded & (FRAMEWORKS | {"pytest", "ml_dtypes"})


def test_the_exports_are_sorted_and_all_there():
    assert dc_core.__all__ == sorted(set(dc_core.__all__))
    assert set(dc_core.__all__) <= set(dir(dc_core))
    for name in dc_core.__all__:
        assert getattr(dc_core, name) is not None


def test_type_checkers_see_what_programs_see():
    seen = type_checking_names()
    assert sorted(seen) == dc_core.__all__
    for name, (module, original) in seen.items():
        value = getattr(importlib.import_module(module), original)
        assert getattr(dc_core, name) is value


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'dc_core' has no attribute 'Modle'"):
        dc_core.Modle  # noqa: B018


def test_the_kit_is_lazy_too():
    loaded = loaded_after("import dc_core.testing")
    assert "dc_core.testing.suite" not in loaded
    assert "numpy" not in loaded


def test_without_pytest_the_kit_says_what_to_install():
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "import dc_core\n"
        "try:\n    from dc_core.testing import BackendSuite\nexcept ImportError as error:\n"
        "    assert 'pip install \"dc-core[testing]\"' in str(error)\n"
        "else:\n    raise SystemExit('imported')"
    )
    loaded_after(code)

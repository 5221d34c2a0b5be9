"""Lazy public surfaces."""

import sys

import pytest


@pytest.fixture
def package(tmp_path, monkeypatch):
    home = tmp_path / "lazy_pkg"
    home.mkdir()
    (home / "__init__.py").write_text(
        "from dc_core.lazy import attach\n"
        "exports = {'lazy_pkg.shapes': ['Circle', 'shapes'], 'lazy_pkg.broken': ['Broken']}\n"
        "__getattr__, __dir__ = attach(__name__, exports)\n"
    )
    (home / "shapes.py").write_text("class Circle: pass\n")
    (home / "broken.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    import lazy_pkg

    yield lazy_pkg
    for name in [name for name in sys.modules if name.startswith("lazy_pkg")]:
        del sys.modules[name]


def test_a_module_is_imported_when_a_name_of_it_is_first_asked_for(package):
    assert "lazy_pkg.shapes" not in sys.modules
    circle = package.Circle
    assert sys.modules["lazy_pkg.shapes"].Circle is circle
    assert vars(package)["Circle"] is circle


def test_a_module_can_be_exported_itself(package):
    assert package.shapes is sys.modules["lazy_pkg.shapes"]


def test_all_names_are_listed_before_anything_is_imported(package):
    assert {"Broken", "Circle", "shapes"} <= set(dir(package))
    assert "lazy_pkg.shapes" not in sys.modules


def test_an_import_that_fails_says_why(package):
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        package.Broken  # noqa: B018


def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="'lazy_pkg' has no attribute 'Square'"):
        package.Square  # noqa: B018

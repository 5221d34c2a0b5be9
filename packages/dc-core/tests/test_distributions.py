"""Which distributions a class comes from: by entry points, by lists of files, and by its bases."""

from importlib import import_module
from pathlib import Path

import pytest

from dc_core import Component, Model, distributions

BASE = """
class Base:
    pass
"""


@pytest.fixture
def acme(install):
    """Install a package without entry points, as pip does: with a list of its files."""
    home = install("Acme_Models", {}, {"acme": BASE}, version="1.2")
    (home / "Acme_Models-1.2.dist-info" / "RECORD").write_text("acme.py,,\nother.py,,\n")
    (home / "unlisted.py").write_text(BASE)
    return import_module("acme")


def test_a_distribution_is_found_by_its_list_of_files(acme):
    assert distributions.of_class(acme.Base) == {"acme-models": "1.2"}
    assert distributions.of_class(import_module("unlisted").Base) == {}


def test_a_distribution_is_found_by_its_entry_points_without_a_list_of_files(install):
    source = "from dc_core import Model\nclass Net(Model): ..."
    install("stone-models", {"dc.models": {"stone/Net": "stone_nets:Net"}}, {"stone_nets": source})
    cls = import_module("stone_nets").Net
    assert distributions.of_class(cls) == {"stone-models": "1.0"}


def test_the_distributions_of_the_bases_are_needed_too(acme):
    class Mine(acme.Base):
        pass

    assert distributions.of_class(Mine) == {"acme-models": "1.2"}


def test_the_program_the_standard_library_and_dc_core_are_not_named():
    class Mine(Model):
        pass

    for cls in (Mine, Model, Component, dict, Path):
        assert distributions.of_class(cls) == {}


def test_what_a_class_requires_is_named_if_it_is_installed(acme):
    class Mine(Component):
        requires = ("acme-models", "not-installed")

    assert distributions.of_class(Mine) == {"acme-models": "1.2"}


def test_the_distribution_of_a_backend_is_the_one_that_provides_its_plugin(install):
    install("Dist_A", {"dc.backends.v1": {"alpha": "alpha_plugin"}}, version="2.0")
    assert distributions.of_backend("alpha") == {"dist-a": "2.0"}
    assert distributions.of_backend("beta") == {}


def test_modules_of_a_framework_are_left_to_its_backend(install):
    install("Dist_A", {"dc.backends.v1": {"acme": "alpha_plugin"}}, {"acme": BASE})
    assert distributions.of_class(import_module("acme").Base) == {}


def test_a_half_removed_distribution_harms_no_other(acme, install):
    home = install("broken", {}, {"broken_nets": BASE})
    (home / "broken-1.0.dist-info" / "RECORD").write_text("broken_nets.py,,\n")
    (home / "broken-1.0.dist-info" / "METADATA").unlink()
    assert distributions.of_class(import_module("broken_nets").Base) == {}
    assert distributions.of_class(acme.Base) == {"acme-models": "1.2"}

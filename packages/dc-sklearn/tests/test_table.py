"""The README's table of scikit-learn's estimators, which this file makes: run it to write it."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest
import sklearn
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.utils import all_estimators

from dc_sklearn import estimators
from dc_sklearn.unsupported import REASONS

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- estimators: begin -->", "<!-- estimators: end -->"
VERSION = ".".join(sklearn.__version__.split(".")[:2])
BETWEEN = re.compile(f"(?<={BEGIN}\n).*(?={END})", re.DOTALL)


def module_of(estimator: tuple[str, type]) -> str:
    """Return the public module of an estimator, below ``sklearn``."""
    path = estimator[1].__module__.split(".")[1:]
    return ".".join(part for part in path[:1] if not part.startswith("_")) or path[0].lstrip("_")


def table() -> str:
    """Return the table of all estimators, by module."""
    found = sorted(all_estimators(), key=lambda e: (module_of(e), e[0]))
    stored = set(estimators.names())
    names = [name for name, _ in found]
    count = len(stored & set(names))
    lines = [
        f"{count} of the {len(names)} estimators of scikit-learn {VERSION} are stored exactly.",
        "",
        "| `sklearn.…` | stored exactly | refused, because |",
        "|---|---|---|",
    ]
    for module, group in groupby(found, key=module_of):
        members = [name for name, _ in group]
        exact = ", ".join(f"`{name}`" for name in members if name in stored)
        refused = "; ".join(f"`{n}`: {REASONS[n]}" for n in members if n not in stored)
        lines.append(f"| `{module}` | {exact} | {refused} |")
    return "\n".join([*lines, ""])


@pytest.mark.skipif(
    f"scikit-learn {VERSION}" not in README.read_text(),
    reason="the table is that of the newest version",
)
def test_the_table_of_the_readme_is_that_of_the_installed_scikit_learn() -> None:
    found = BETWEEN.search(README.read_text())
    assert found is not None
    assert found[0] == table(), f"Run python {Path(__file__).name}, which writes the table."


def test_every_reason_is_about_an_estimator_that_is_refused() -> None:
    assert not REASONS.keys() & set(estimators.names())
    assert REASONS.keys() <= {name for name, _ in all_estimators()}


def test_almost_every_estimator_is_stored() -> None:
    names = {name for name, _ in all_estimators()}
    assert len(names & set(estimators.names())) >= 195


if __name__ == "__main__":
    README.write_text(BETWEEN.sub(lambda _: table(), README.read_text()))

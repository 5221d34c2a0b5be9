"""Laws on the distribution that contains the backend: what it requires, what it installs."""

from __future__ import annotations

import re
from importlib.metadata import Distribution

from dc_core import plugins
from dc_core.testing.backend.subject import BackendSubject
from dc_core.testing.suite import LawBroken, law, skip


class DistributionLaws(BackendSubject):
    """Laws on the distribution that contains the backend: what it requires, what it installs.

    They are tried on an installed wheel. One that is installed in place (editable) may have the
    metadata of an older pyproject.toml, and the laws are skipped.
    """

    @law(since="0.1")
    def test_the_distribution_requires_what_the_backend_needs(self) -> None:
        """The distribution requires dc-core and every distribution whose version is declared."""
        distribution = self._distribution()
        required = {
            _normal(_NAME.match(line)[0])  # type: ignore[index]
            for line in distribution.requires or ()
            if "extra ==" not in line.partition(";")[2]
        }
        own = _normal(distribution.name)
        declared = map(_normal, plugins.backend(self.backend).info().versions)
        missing = {"dc-core", *declared} - required - {own}
        if missing:
            raise LawBroken(
                f"{distribution.name} does not require {', '.join(sorted(missing))}.",
                hint="Add it to the dependencies in pyproject.toml.",
            )

    @law(since="0.1")
    def test_the_distribution_installs_one_package(self) -> None:
        """The distribution installs the package of its entry point, and no other file."""
        distribution = self._distribution()
        (entry,) = plugins.BACKENDS.entries[self.backend]
        package = entry.module.partition(".")[0]
        for path in distribution.files or ():
            top = path.parts[0]
            if top not in (package, f"{package}.py", "..", "__pycache__") and not top.endswith(
                ".dist-info"
            ):
                raise LawBroken(
                    f"{distribution.name} installs {path}, which is outside {package!r}.",
                    hint="Keep tests and documentation out of the wheel.",
                )

    def _distribution(self) -> Distribution:
        (entry,) = plugins.BACKENDS.entries[self.backend]
        distribution = entry.dist
        path = entry.module.replace(".", "/")
        files = {file.as_posix() for file in (distribution and distribution.files) or ()}
        if distribution is None or not files & {f"{path}.py", f"{path}/__init__.py"}:
            skip("the distribution is not installed from a wheel")
        return distribution


_NAME = re.compile(r"[A-Za-z0-9._-]+")


def _normal(name: str) -> str:
    """Return the normalized name of a distribution: ``Dist_A`` and ``dist.a`` are one."""
    return re.sub(r"[-_.]+", "-", name).lower()

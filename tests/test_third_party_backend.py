"""The page "Write a backend in an afternoon", followed literally in an empty directory."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "backend"
PAGE = (ROOT / "packages/dc-core/docs/write-a-backend.md").read_text(encoding="utf-8")

DC_HUB = "import sys; from dc_hub.command.main import main; sys.exit(main())"

Run = Callable[[str], str]


def files_of_the_page() -> dict[str, str]:
    """Return the text of each file; one that is shown in parts has two empty lines between them."""
    files: dict[str, list[str]] = {}
    for path, text in re.findall(r"^\*\*`(\S+)`\*\*\n\n```\w+\n(.*?)```$", PAGE, re.M | re.S):
        files.setdefault(path, []).append(text)
    return {path: "\n\n".join(parts) for path, parts in files.items()}


def commands_of_the_page() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)```$", PAGE, re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]


def test_the_page_shows_every_file_of_the_example() -> None:
    paths = (path for path in EXAMPLE.rglob("*") if path.suffix in (".py", ".toml"))
    stored = {path.relative_to(EXAMPLE).as_posix(): path.read_text("utf-8") for path in paths}
    assert files_of_the_page() == stored


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Write the page's files, install what they make, and return a function that runs commands.

    The page lets pip fetch what is missing; here everything is installed already.
    """
    place = tmp_path_factory.mktemp("empty")
    for name, text in files_of_the_page().items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    path = os.pathsep.join(filter(None, (str(place / "lib"), os.environ.get("PYTHONPATH"))))
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONWARNINGS": "error",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
        "DEEPCHEM_MODEL_HUB": str(place / "hub"),
        "DEEPCHEM_CACHE": str(place / "cache"),
        "COLUMNS": "200",
    }

    def run(command: str) -> str:
        program, *arguments = shlex.split(command)
        module = {"python": [], "dc-hub": ["-c", DC_HUB]}.get(program, ["-m", program])
        done = subprocess.run(
            [sys.executable, *module, *arguments],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # Warnings of pip and hatchling are not ours.
    environment["PYTHONWARNINGS"] = "default"
    run("pip install --no-deps --no-build-isolation --no-index -t lib ./knotline ./dc-knotline")
    environment["PYTHONWARNINGS"] = "error"
    return run


def test_the_backend_passes_the_whole_kit(run: Run) -> None:
    install, test, *_ = commands_of_the_page()
    assert install == 'pip install ./knotline "./dc-knotline[test]"'
    (counts,) = re.findall(r"^```\n(\d+ passed, \d+ skipped)\n```$", PAGE, re.M)
    assert f"{counts} in " in run(test)


def test_a_model_is_trained_published_and_loaded_in_a_new_process(run: Run) -> None:
    *_, train, predict, info = commands_of_the_page()
    trained, loaded = run(train), run(predict)
    assert trained.splitlines()[-1] == loaded.splitlines()[-1]
    assert re.fullmatch(r"predicts 2\.0\d+", loaded.splitlines()[-1])
    assert re.search(r"^backend +knotline$", run(info), re.M)

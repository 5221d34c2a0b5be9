"""Every package imports on a system that has no more than Windows has."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(
    path.parent.name.replace("-", "_") for path in (ROOT / "packages").glob("*/pyproject.toml")
)
FRAMEWORKS = {"dc_jax": "jax", "dc_tensorflow": "tensorflow"}
"""Frameworks that packages import in all their modules, and that are not installed everywhere."""

IMPORTED = [
    name for name in PACKAGES if name not in FRAMEWORKS or find_spec(FRAMEWORKS[name]) is not None
]
MASKED = ROOT / "packages" / "dc-hub" / "tests" / "masked.py"

PROGRAM = """
import runpy, sys
print(*runpy.run_path(sys.argv[1])["import_masked"](*sys.argv[2:]), sep="\\n")
"""


def import_masked(*packages: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(MASKED), *packages]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=path)


def test_every_module_of_every_package_imports_without_what_windows_lacks() -> None:
    ran = import_masked(*IMPORTED)
    assert ran.returncode == 0, ran.stderr
    imported = ran.stdout.split()
    assert set(IMPORTED) <= set(imported)
    assert {"dc_hub.files.system", "dc_torch.plugin", "dc_sklearn.plugin"} <= set(imported)


def test_a_module_that_needs_what_windows_lacks_is_detected(tmp_path: Path) -> None:
    for number, line in enumerate(("import fcntl", "import os\nos.O_NOFOLLOW", "import resource")):
        package = tmp_path / f"stranger{number}"
        package.mkdir()
        (package / "__init__.py").write_text(line)
        ran = import_masked(package.name, path=tmp_path)
        assert ran.returncode != 0, line
        assert "fcntl" in ran.stderr or "O_NOFOLLOW" in ran.stderr or "resource" in ran.stderr

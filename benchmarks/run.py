"""Run the benchmarks against other libraries and print the tables.

python benchmarks/run.py [SUBJECT ...] [--quick] [--write] [--with-deepchem [DIRECTORY]]
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import environment
from measure import Way, WayFailed, measure, run
from subject import Subject
from table import section

HERE = Path(__file__).parent
OUT = HERE / "out"
README = HERE / "README.md"
NAMES = (
    "weights",
    "saving",
    "eager",
    "tiny",
    "pulling",
    "catalogue",
    "forest",
    "neighbors",
    "ecfp",
    "splitting",
    "graphs",
    "table",
    "disk",
    "engines",
    "tuning",
    "training",
    "parallel",
    "imports",
)


def sections(
    name: str, folder: Path, environments: Mapping[str, Path], *, quick: bool
) -> Iterator[str]:
    """Measure the subject ``name`` in ``folder`` and yield its sections."""
    subjects: tuple[Subject, ...] = import_module(f"subjects.{name}").SUBJECTS
    prepared = set()
    for subject in subjects:
        if subject.prepare is not None and subject.prepare not in prepared:
            run(Way(f"preparing {name}", subject.prepare, {"quick": quick}), folder)
            prepared.add(subject.prepare)
        figures = measure(
            subject.ways,
            folder,
            repeats=2 if quick else subject.repeats,
            calls=subject.calls,
            memory=subject.memory,
            environments=environments,
        )
        yield section(subject, figures, remark="A quick look at small sizes. " if quick else "")


def write(name: str, text: str) -> None:
    """Put ``text`` between the markers of ``name`` in the README."""
    page = README.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    between = re.compile(f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)})", re.DOTALL)
    page, found = between.subn(lambda _: f"\n{text}\n\n", page, count=1)
    if not found:
        sys.exit(f"{README} has no place for the tables: add the lines {begin} and {end}.")
    README.write_text(page, encoding="utf-8")


def main() -> None:
    """Measure the requested subjects, printing each table when it is complete."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "subjects", nargs="*", metavar="SUBJECT", help=f"one of {', '.join(NAMES)} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, two repetitions")
    parser.add_argument("--write", action="store_true", help="put the tables into README.md")
    parser.add_argument(
        "--with-deepchem",
        nargs="?",
        type=Path,
        const=OUT / "deepchem",
        metavar="DIRECTORY",
        help="measure DeepChem too, in a virtual environment created there if needed",
    )
    options = parser.parse_args()
    unknown = sorted(set(options.subjects) - set(NAMES))
    if unknown:
        parser.error(f"there is no subject {unknown[0]!r}; there are {', '.join(NAMES)}")
    if options.quick and options.write:
        parser.error("quick figures are not for the README: leave --quick or --write out")

    OUT.mkdir(exist_ok=True)
    environments = {}
    if options.with_deepchem is not None:
        environments["deepchem"] = environment.interpreter(
            options.with_deepchem, environment.DEEPCHEM
        )
    for name in options.subjects or NAMES:
        # Not in the temporary folder, which may be in memory rather than on a disk.
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=OUT) as folder:
            texts = []
            try:
                for text in sections(name, Path(folder), environments, quick=options.quick):
                    print(text, end="\n\n", flush=True)
                    texts.append(text)
            except WayFailed as error:
                sys.exit(str(error))
        if options.write:
            write(name, "\n\n".join(texts))


if __name__ == "__main__":
    main()

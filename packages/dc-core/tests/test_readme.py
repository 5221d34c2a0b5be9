"""The README tells the truth."""

import re
from pathlib import Path

from dc_core.testing import BackendSuite, EngineSuite, ModelSuite

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_example_runs_and_prints_what_it_says(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    (printed,) = re.findall(r"^# (\{.*)$", code, re.MULTILINE)
    assert re.sub(r"array\(\[\[.*?\]\]\)", "A", capsys.readouterr().out.strip()) == re.sub(
        r"array\(\[\[.*?\]\]\)", "A", printed
    )


def test_the_laws_are_counted_right():
    assert f"`BackendSuite` has the {len(BackendSuite.laws())} laws" in README.replace("\n", " ")
    assert f"`EngineSuite` has the {len(EngineSuite.laws())} laws" in README.replace("\n", " ")
    assert f"`ModelSuite` has the {len(ModelSuite.laws())} laws" in README.replace("\n", " ")


def test_the_optional_factories_are_listed():
    for name in dir(BackendSuite):
        text = getattr(BackendSuite, name).__doc__ or ""
        if text.startswith("Optional: "):
            assert f"`{name}(" in README

"""The kit itself: each of its checks is broken by a bad plugin or model, and says what is wrong."""

import ast
from pathlib import Path

import pytest

from dc_core import testing
from dc_core.testing import BackendSuite, EngineSuite, LawBroken, ModelSuite, TrainerSuite

KIT = Path(testing.__file__).parent
CHECKED = [
    *map(KIT.joinpath, ("model.py", "engine.py", "effects.py", "trainer.py")),
    *sorted((KIT / "backend").glob("*.py")),
]
CHECKS = {
    "expect_same",
    "expect_same_prediction",
    "load_or_refuse",
    "reject",
    "_all_squared",
    "_continues",
    "_expect_none",
    "_loses",
    "_refuses",
    "_same_predictions",
    "_same_weights",
    "_survives",
}
"""The functions of the kit that raise LawBroken for their caller."""

hit: set[tuple[str, int]] = set()
"""The lines of the kit at which graves broke a law: file and number."""


pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture
def break_law(try_law):
    """Return a function that tries a grave's law on its suite, which must break it."""

    def break_law(suite, grave):
        with pytest.raises(LawBroken) as caught:
            try_law(suite, grave.law)
        note(caught.value)
        assert str(caught.value).startswith("The law is: ")
        assert grave.says in str(caught.value)
        assert caught.value.hint

    return break_law


def note(error):
    """Note the lines at which ``error`` passed through the kit."""
    while error is not None:
        frame = error.__traceback__
        while frame is not None:
            hit.add((frame.tb_frame.f_code.co_filename, frame.tb_lineno))
            frame = frame.tb_next
        error = error.__cause__


def test_a_bad_plugin_is_found_by_the_check_for_its_fault(
    install_tiny, graveyard, grave, break_law
):
    install_tiny(grave.entries, **grave.distribution)
    break_law(getattr(graveyard("suites"), grave.suite)(), grave)


@pytest.mark.usefixtures("lines")
def test_a_bad_model_is_found_by_the_check_for_its_fault(bad_model, break_law):
    break_law(bad_model.suite(), bad_model)


def test_a_bad_engine_is_found_by_the_check_for_its_fault(bad_engine, break_law):
    try:
        break_law(bad_engine.suite(), bad_engine)
    finally:
        while bad_engine.left:
            bad_engine.left.pop()()


def test_a_bad_trainer_is_found_by_the_check_for_its_fault(bad_trainer, break_law):
    break_law(bad_trainer.suite(), bad_trainer)


@pytest.mark.parametrize(
    ("suite", "module"),
    [
        (BackendSuite, "graves"),
        (ModelSuite, "lines"),
        (EngineSuite, "bad_engines"),
        (TrainerSuite, "trained_lines"),
    ],
)
def test_every_law_has_a_grave(suite, module, graveyard):
    graves = graveyard(module).GRAVES.values()
    assert set(suite.laws()) - {grave.law for grave in graves} == set()


def checks(file):
    """Yield the lines of every check in ``file``, and its source."""
    for node in ast.walk(ast.parse(file.read_text())):
        raises = isinstance(node, ast.Raise)
        called = getattr(node.exc if raises else node, "func", None)
        name = getattr(called, "attr", getattr(called, "id", None))
        if name in ({"LawBroken"} if raises else CHECKS):
            yield range(node.lineno, node.end_lineno + 1), ast.unparse(node)


@pytest.mark.parametrize("file", CHECKED, ids=lambda file: file.stem)
def test_every_check_of_the_kit_has_a_grave(file, request):
    ran = {item.originalname for item in request.session.items}
    tried = (BAD_PLUGIN, BAD_MODEL, BAD_ENGINE, BAD_TRAINER)
    if not {test.__name__ for test in tried} <= ran:
        pytest.skip("the graves were not all tried in this run")
    lines = {number for name, number in hit if Path(name) == file}
    missed = [
        f"{file.name}:{span.start}: {source}"
        for span, source in checks(file)
        if lines.isdisjoint(span)
    ]
    assert not missed, "\n".join(missed)


BAD_PLUGIN = test_a_bad_plugin_is_found_by_the_check_for_its_fault
BAD_ENGINE = test_a_bad_engine_is_found_by_the_check_for_its_fault
BAD_TRAINER = test_a_bad_trainer_is_found_by_the_check_for_its_fault
BAD_MODEL = test_a_bad_model_is_found_by_the_check_for_its_fault

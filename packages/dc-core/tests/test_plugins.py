"""The plugin group: real distributions, found by metadata, isolated from one another."""

import os
import sys
import threading
import traceback
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from dc_core import BackendInfo, plugins
from dc_core.__main__ import main
from dc_core.errors import (
    BackendBroken,
    BackendConflict,
    BackendNotInstalled,
    HubNotInstalled,
    NotClaimed,
    OutOfResources,
    ParameterError,
    UnknownClass,
    Unsupported,
)
from dc_core.plugins import BACKENDS, PluginGroup
from dc_core.plugins.hookspecs import BackendHooks
from dc_core.registry import models
from dc_core.warning import PluginWarning

GROUP = "dc.backends.v1"

INFO = """
from dc_core import hookimpl
from dc_core.plugins import BackendInfo

@hookimpl
def dc_backend_info():
    return BackendInfo({"tiny": "1.0"})
"""


def objects_of(module, base=object):
    """Return an object whose class says that it comes from ``module``."""
    return type("Thing", (base,), {"__module__": module})()


def status(name, group=BACKENDS):
    (line,) = [line for line in group.report() if line.name == name]
    return line


def test_discovery_imports_nothing(install):
    install("dist-a", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": INFO})
    assert "alpha" in BACKENDS
    assert plugins.claim(objects_of("alpha.layers")).backend.name == "alpha"
    assert "alpha_plugin" not in sys.modules
    assert plugins.backend("alpha").info().versions == {"tiny": "1.0"}
    assert "alpha_plugin" in sys.modules


def test_a_backend_installed_in_the_running_program_is_found_after_refresh(install):
    assert "alpha" not in BACKENDS
    install("dist-a", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": INFO})
    assert status("alpha").status == "ready"


def test_the_nearest_class_decides(install):
    install("dist-a", {GROUP: {"alpha": "p"}})
    install("dist-b", {GROUP: {"beta": "q"}})
    base = type(objects_of("alpha.base"))
    assert plugins.backend_of(base).name == "alpha"
    assert plugins.claim(objects_of("beta.wrapper", base)).backend.name == "beta"
    assert plugins.claim(objects_of("users_own_module", base)).backend.name == "alpha"


def test_a_known_framework_without_its_backend_says_what_to_install(install):
    group = PluginGroup(GROUP, BackendHooks, {"gamma": "dc-gamma"})
    with pytest.raises(BackendNotInstalled, match="pip install dc-gamma"):
        plugins.claim(objects_of("gamma.nn"), group)
    with pytest.raises(BackendNotInstalled, match="pip install dc-gamma"):
        group.load("gamma")


def test_a_stranger_on_a_known_name_loses_to_the_known_distribution_with_a_warning(install):
    install("a-stranger", {GROUP: {"gamma": "q"}})
    install("dc-gamma", {GROUP: {"gamma": "gamma_plugin"}}, {"gamma_plugin": INFO})
    group = PluginGroup(GROUP, BackendHooks, {"gamma": "dc-gamma"})
    with pytest.warns(PluginWarning, match="pip uninstall a-stranger") as caught:
        assert group.load("gamma").__name__ == "gamma_plugin"
    assert [warning.filename for warning in caught] == [__file__]
    assert group.load("gamma").__name__ == "gamma_plugin"
    lines = {line.distribution: line for line in group.report() if line.name == "gamma"}
    assert lines["dc-gamma"].status == "ready"
    assert lines["a-stranger"].status == "refused"
    assert "belongs to dc-gamma" in lines["a-stranger"].detail
    assert "q" not in sys.modules


def test_two_strangers_on_a_known_name_are_a_conflict(install):
    install("dist-a", {GROUP: {"gamma": "p"}})
    install("dist-b", {GROUP: {"gamma": "q"}})
    group = PluginGroup(GROUP, BackendHooks, {"gamma": "dc-gamma"})
    with pytest.raises(BackendConflict, match="dist-a and dist-b"):
        group.load("gamma")


GOOD = ("dist-good", {GROUP: {"good": "good_plugin"}}, {"good_plugin": INFO})


def only_the_good_is_ready(name):
    """Assert that ``name`` is one refused line and harms no other plugin; return the line."""
    lines = [line for line in plugins.report() if line.name == name]
    assert [line.status for line in lines] == ["refused"]
    assert lines[0].detail
    assert lines[0].hint
    assert name not in BACKENDS
    assert status("good").status == "ready"
    assert plugins.backend("good").info().versions == {"tiny": "1.0"}
    with pytest.raises(BackendBroken) as caught:
        plugins.backend(name).info()
    assert caught.value.cause == lines[0].detail
    return lines[0]


def test_a_half_removed_distribution_is_refused(install):
    install(*GOOD)
    home = install("dist-half", {GROUP: {"half": "half_plugin"}}, {"half_plugin": INFO})
    (metadata_file,) = home.glob("*/METADATA")
    metadata_file.unlink()
    plugins.refresh()
    line = only_the_good_is_ready("half")
    assert "dist_half-1.0.dist-info" in line.distribution
    assert "half_plugin" not in sys.modules


def test_the_remains_of_a_distribution_do_not_conflict_with_a_whole_one(install):
    home = install("dist-old", {GROUP: {"alpha": "old_plugin"}}, {"old_plugin": INFO})
    install("dist-new", {GROUP: {"alpha": "new_plugin"}}, {"new_plugin": INFO})
    (metadata_file,) = home.glob("*/METADATA")
    metadata_file.unlink()
    plugins.refresh()
    assert BACKENDS.load("alpha").__name__ == "new_plugin"


@pytest.mark.parametrize(
    "name",
    [
        *("numpy", "pandas", "polars", "pyarrow", "scipy", "rdkit", "narwhals", "pluggy"),
        *("ml_dtypes", "builtins", "collections", "__main__", "dc_core"),
        *("a.b", "a b", "a/b", "a-b", "1a", "é-"),
    ],
)
def test_a_name_that_no_framework_can_have_is_refused(install, name):
    install(*GOOD)
    install("dist-bad", {GROUP: {name: "bad_plugin"}}, {"bad_plugin": INFO})
    only_the_good_is_ready(name)
    assert "bad_plugin" not in sys.modules
    for obj in (np.zeros(2), [1], {}):
        with pytest.raises(NotClaimed):
            plugins.claim(obj)


def test_a_malformed_value_is_refused(install):
    install(*GOOD)
    install("dist-bad", {GROUP: {"bad": "no module: at all?"}})
    only_the_good_is_ready("bad")


UNREADABLE = [f"[{GROUP}]\nno equals sign\n".encode(), b"[dc.models]\nname = \xff\n"]


@pytest.mark.parametrize("content", UNREADABLE, ids=["malformed", "not UTF-8"])
def test_an_unreadable_list_of_entry_points_is_refused(install, content):
    install(*GOOD)
    home = install("dist-bad", {GROUP: {"bad": "bad_plugin"}}, version="2.1")
    (listed,) = home.glob("*/entry_points.txt")
    listed.write_bytes(content)
    plugins.refresh()
    assert status("good").status == "ready"
    assert "bad" not in BACKENDS
    (line,) = [line for line in plugins.report() if line.distribution == "dist-bad"]
    assert (line.status, line.name, line.version) == ("refused", "dist-bad", "2.1")
    assert line.detail.startswith("Its entry_points.txt cannot be read: ")
    assert line.hint == "Run: pip install --force-reinstall dist-bad"
    assert main(["plugins"]) == 1


def test_a_known_distribution_with_unreadable_entry_points_says_so_when_an_object_asks(install):
    home = install("dc-gamma", {GROUP: {"gamma": "gamma_plugin"}})
    (listed,) = home.glob("*/entry_points.txt")
    listed.write_text("no equals sign\n[section]\nno equals sign\n")
    group = PluginGroup(GROUP, BackendHooks, {"gamma": "dc-gamma"})
    with pytest.raises(BackendBroken, match=r"cannot be read.*--force-reinstall dc-gamma"):
        plugins.claim(objects_of("gamma.nn"), group)


def test_a_plugin_for_a_newer_api_says_to_upgrade_dc_core(install):
    install(*GOOD)
    install("dist-new", {"dc.backends.v2": {"newer": "newer_plugin"}}, {"newer_plugin": INFO})
    line = only_the_good_is_ready("newer")
    assert line.group == "dc.backends.v2"
    with pytest.raises(BackendBroken, match="pip install --upgrade dc-core"):
        plugins.backend("newer").info()


def test_a_known_plugin_for_a_newer_api_alone_says_so_when_an_object_asks(install):
    install("dc-gamma", {"dc.backends.v2": {"gamma": "newer_plugin"}})
    group = PluginGroup(GROUP, BackendHooks, {"gamma": "dc-gamma"})
    with pytest.raises(BackendBroken, match="--upgrade dc-core"):
        plugins.claim(objects_of("gamma.nn"), group)


def test_a_plugin_for_both_apis_is_used(install):
    both = {GROUP: {"alpha": "alpha_plugin"}, "dc.backends.v2": {"alpha": "alpha_plugin"}}
    install("dist-both", both, {"alpha_plugin": INFO})
    assert status("alpha").status == "ready"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise type('Halt', (BaseException,), {})('stop')", "Halt: stop"),
        ("return {'tiny': '1.0'}", "returned a dict, not a BackendInfo"),
        (
            "from dc_core import BackendInfo; return BackendInfo(3)",
            "ParameterError: `versions` is 3",
        ),
    ],
)
def test_an_info_hook_that_raises_or_returns_another_type_is_broken(install, body, cause):
    install(*GOOD)
    source = f"from dc_core import hookimpl\n\n@hookimpl\ndef dc_backend_info():\n    {body}\n"
    install("dist-bad", {GROUP: {"bad": "bad_plugin"}}, {"bad_plugin": source})
    with pytest.raises(BackendBroken, match=r"dist-bad 1\.0") as caught:
        plugins.backend("bad").info()
    assert cause in caught.value.cause
    lines = {line.name: line for line in plugins.report()}
    assert lines["bad"].status == "broken"
    assert cause in lines["bad"].detail
    assert lines["good"].status == "ready"


def failing_once(marker, statement):
    """Return a plugin whose import fails in ``statement``, the first time alone."""
    return f"""
from pathlib import Path
marker = Path({str(marker)!r})
if not marker.exists():
    marker.touch()
    {statement}
{INFO}
"""


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
def test_a_ctrl_c_during_an_import_is_not_remembered(install, tmp_path, error):
    source = failing_once(tmp_path / "marker", f"raise {error.__name__}")
    install("dist-a", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": source})
    with pytest.raises(error):
        plugins.backend("alpha").info()
    assert plugins.backend("alpha").info().versions == {"tiny": "1.0"}
    assert status("alpha").status == "ready"


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
def test_a_ctrl_c_in_a_hook_passes(install, error):
    source = INFO.replace("return", f"raise {error.__name__}; return")
    install("dist-a", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": source})
    with pytest.raises(error):
        plugins.report()


PASSING = {
    "no memory": "raise MemoryError",
    "no memory in the system": "raise OSError(12, 'Cannot allocate memory')",
    "no files": "raise OSError(24, 'Too many open files')",
    "no files in the system": "raise OSError(23, 'Too many open files in system')",
    "a library that cannot be opened": "raise ImportError('lib.so: Too many open files')",
    "hidden by another error": "raise RuntimeError('no kernels') from MemoryError()",
}


@pytest.mark.parametrize("statement", PASSING.values(), ids=PASSING.keys())
def test_a_lack_of_memory_or_files_is_not_remembered(install, tmp_path, statement):
    sources = {
        name: failing_once(tmp_path / name, statement) for name in ("alpha_plugin", "lab_nets")
    }
    sources["lab_nets"] += "from dc_core import Model\nclass Net(Model): ...\n"
    names = {GROUP: {"alpha": "alpha_plugin"}, "dc.models": {"lab/Net": "lab_nets:Net"}}
    install("dist-a", names, sources)
    for first in (plugins.backend("alpha").info, lambda: models.lookup("lab/Net")):
        with pytest.raises(OutOfResources, match="try again") as caught:
            first()
        assert "ulimit" in caught.value.hint
        first()
    (tmp_path / "alpha_plugin").unlink()
    (tmp_path / "lab_nets").unlink()
    sys.modules.pop("alpha_plugin")
    sys.modules.pop("lab_nets")
    plugins.refresh()
    for listed in (lambda: status("alpha"), lambda: status("lab/Net", models)):
        assert (listed().status, listed().status) == ("broken", "ready")


@pytest.mark.parametrize("statement", PASSING.values(), ids=PASSING.keys())
def test_a_lack_of_memory_or_files_in_a_hook_is_no_fault_of_the_plugin(
    install, tmp_path, statement
):
    once = f"open({str(tmp_path / 'marker')!r}, 'x').close()"
    source = INFO.replace(
        "    return",
        f"    try:\n        {once}\n    except FileExistsError:\n        pass\n"
        f"    else:\n        {statement}\n    return",
    )
    install("dist-a", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": source})
    with pytest.raises(OutOfResources, match=r"'alpha' cannot be used now.*try again"):
        plugins.backend("alpha").info()
    assert plugins.backend("alpha").info().versions == {"tiny": "1.0"}


@contextmanager
def no_files_left():
    """Let this process open no more files in the block."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 50, limits[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in taken:
            os.close(descriptor)


def test_plugins_are_found_and_imported_once_files_can_be_opened_again(install):
    install("dist-a", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": INFO})
    for _ in range(2):
        with no_files_left(), pytest.raises(OutOfResources, match="Too many open files"):
            plugins.backend("alpha").info()
        assert "alpha" in BACKENDS  # Found the first time, so it is the import that fails next.
    assert plugins.backend("alpha").info().versions == {"tiny": "1.0"}


def test_what_cannot_be_imported_is_not_imported_again(install, tmp_path):
    source = f"""
with open({str(tmp_path / "imports")!r}, "a") as file:
    file.write("x")
raise RuntimeError("boom")
"""
    names = {GROUP: {"alpha": "native", "beta": "native"}, "dc.models": {"lab/Net": "native:Net"}}
    install("dist-a", names, {"native": source})
    for _ in range(2):
        for name in ("alpha", "beta"):
            with pytest.raises(BackendBroken, match="RuntimeError: boom") as caught:
                plugins.backend(name).info()
            assert traceback.format_tb(caught.value.__cause__.__traceback__)[-1].count("native")
        with pytest.raises(UnknownClass, match="RuntimeError: boom"):
            models.lookup("lab/Net")
    assert (tmp_path / "imports").read_text() == "x"
    plugins.refresh()
    with pytest.raises(BackendBroken):
        plugins.backend("alpha").info()
    assert (tmp_path / "imports").read_text() == "xx"


def test_the_distribution_that_breaks_a_framework_is_named(install):
    source = "from importlib.metadata import entry_points\nentry_points(group='frameworks')\n"
    names = {GROUP: {"alpha": "alpha_plugin"}, "dc.models": {"lab/Net": "alpha_plugin:Net"}}
    install("dist-a", names, {"alpha_plugin": source})
    home = install("dist-bad", {})
    (listed,) = home.glob("*/entry_points.txt")
    listed.write_text(f"[{GROUP}]\nfoo bar\n")
    plugins.refresh()
    hint = (
        "The entry points of dist-bad cannot be read. Run: pip install --force-reinstall dist-bad"
    )
    with pytest.raises(BackendBroken) as caught:
        plugins.backend("alpha").info()
    assert caught.value.hint == hint
    with pytest.raises(UnknownClass) as caught:
        models.lookup("lab/Net")
    assert caught.value.hint == hint


def test_an_installed_distribution_without_the_plugin_is_to_be_upgraded(install):
    install("dc-gamma", {}, version="0.1")
    group = PluginGroup(GROUP, BackendHooks, {"gamma": "dc-gamma", "delta": "dc-delta"})
    with pytest.raises(
        BackendNotInstalled, match=r"dc-gamma 0\.1 is installed.*--upgrade dc-gamma"
    ):
        group.load("gamma")
    line = status("gamma", group)
    assert (line.status, line.distribution, line.version) == ("missing", "dc-gamma", "0.1")
    assert "no plugin 'gamma' yet" in line.detail
    assert status("delta", group).hint == "Run: pip install dc-delta"


def test_a_nearer_known_framework_is_not_served_by_the_backend_of_its_base(install):
    install("dist-a", {GROUP: {"alpha": "p"}})
    group = PluginGroup(GROUP, BackendHooks, {"gamma": "dc-gamma"})
    with pytest.raises(BackendNotInstalled, match="'gamma'"):
        plugins.claim(objects_of("gamma.wrapper", type(objects_of("alpha.base"))), group)


def test_an_object_that_nobody_serves_is_not_claimed():
    with pytest.raises(NotClaimed, match=r"builtins\.object"):
        plugins.claim(object())


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise type('Halt', (BaseException,), {})('stop')", "Halt: stop"),
        ("raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})", "Mute: (no message"),
        ("raise RuntimeError('one\\n  two\\x1b[31m')", r"RuntimeError: one two\x1b[31m"),
        ("def (", "SyntaxError"),
        (INFO.replace("dc_backend_info", "dc_bakend_info"), "dc_bakend_info"),
        (INFO.replace("info():", "info(removed_argument):"), "removed_argument"),
        ("def dc_backend_info(): ...", "implements no hook"),
    ],
    ids=[
        "missing module",
        "raises",
        "exits",
        "halts",
        "has no message",
        "writes to the terminal",
        "syntax",
        "misspelled hook",
        "removed argument",
        "no hook",
    ],
)
def test_a_broken_plugin_takes_nothing_else_down(install, source, cause):
    install("Dist_Bad", {GROUP: {"bad": "bad_plugin"}}, {"bad_plugin": source}, version="2.1")
    install("dist-good", {GROUP: {"good": "good_plugin"}}, {"good_plugin": INFO})
    for _ in range(2):
        with pytest.raises(BackendBroken, match=r"dist-bad 2\.1") as caught:
            plugins.backend("bad").info()
        assert cause in caught.value.cause
        assert (caught.value.distribution, caught.value.version) == ("dist-bad", "2.1")
    assert plugins.backend("good").info().versions == {"tiny": "1.0"}
    assert status("bad").status == "broken"
    assert cause in status("bad").detail
    assert status("good").status == "ready"


def test_a_broken_plugin_is_imported_once(install, tmp_path):
    source = f"""
from pathlib import Path
log = Path({str(tmp_path / "log")!r})
log.write_text(log.read_text() + "x" if log.exists() else "x")
raise RuntimeError("boom")
"""
    install("dist-bad", {GROUP: {"bad": "bad_plugin"}}, {"bad_plugin": source})
    for _ in range(3):
        with pytest.raises(BackendBroken):
            BACKENDS.load("bad")
    assert (tmp_path / "log").read_text() == "x"


def test_two_distributions_on_one_name_are_a_conflict_and_neither_is_used(install):
    install("dist-a", {GROUP: {"alpha": "alpha_one"}}, {"alpha_one": INFO})
    install("dist-b", {GROUP: {"alpha": "alpha_two"}}, {"alpha_two": INFO})
    with pytest.raises(BackendConflict, match="dist-a and dist-b") as caught:
        plugins.backend("alpha").info()
    assert caught.value.distributions == ("dist-a", "dist-b")
    assert "pip uninstall" in caught.value.hint
    assert not {"alpha_one", "alpha_two"} & set(sys.modules)
    assert status("alpha").status == "conflict"


def test_one_distribution_seen_twice_is_no_conflict(install):
    install("dist-a", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": INFO})
    install("Dist.A", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": INFO}, folder="again")
    assert status("alpha").status == "ready"


def test_one_plugin_may_serve_two_frameworks(install):
    names = {"alpha": "alpha_plugin", "beta": "alpha_plugin"}
    install("dist-a", {GROUP: names}, {"alpha_plugin": INFO})
    assert plugins.backend("alpha").info() == plugins.backend("beta").info()


def test_a_call_reaches_the_addressed_plugin_alone(install):
    for name in ("alpha", "beta"):
        source = INFO.replace("tiny", name)
        install(f"dist-{name}", {GROUP: {name: f"{name}_plugin"}}, {f"{name}_plugin": source})
    assert plugins.backend("alpha").info().versions == {"alpha": "1.0"}
    assert plugins.backend("beta").info().versions == {"beta": "1.0"}
    assert plugins.backend("alpha").info().versions == {"alpha": "1.0"}


SLOW = """
import time
from dc_core import hookimpl
from dc_core.plugins import BackendInfo

class Plugin:
    # Compared while it is registered, so that threads meet there.
    __hash__ = object.__hash__

    def __eq__(self, other):
        time.sleep(0.02)
        return self is other

    @hookimpl
    def dc_backend_info(self):
        return BackendInfo({"slow": "1.0"})

plugin = Plugin()
"""


def test_threads_that_load_a_plugin_together_all_get_it(install):
    install("dist-a", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": INFO})
    install("dist-b", {GROUP: {"slow": "slow_plugin:plugin"}}, {"slow_plugin": SLOW})
    plugins.backend("alpha").info()
    barrier, answers = threading.Barrier(4), []

    def ask():
        barrier.wait()
        answers.append(plugins.backend("slow").info().versions)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [{"slow": "1.0"}] * 4


def test_what_a_backend_leaves_out_is_unsupported(install):
    install("dist-a", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": INFO})
    served, holder = plugins.backend("alpha"), plugins.claim(objects_of("alpha"))
    assert not served.supports("weights")
    assert served.skeleton(lambda: 3) == 3
    assert served.describe_component(objects_of("alpha")) is None
    for attempt in (
        lambda: served.wrap(None),
        lambda: served.build_component("alpha/X", {}),
        holder.describe_weights,
        holder.export_weights,
        lambda: holder.import_weights({}),
    ):
        with pytest.raises(Unsupported, match="'alpha' does not implement dc_"):
            attempt()


def test_a_hook_that_returns_nothing_is_told_from_one_that_is_absent(install):
    source = INFO + "\n@hookimpl\ndef dc_wrap(obj):\n    pass\n"
    install("dist-a", {GROUP: {"alpha": "alpha_plugin"}}, {"alpha_plugin": source})
    with pytest.raises(Unsupported, match="returns nothing from dc_wrap"):
        plugins.backend("alpha").wrap(None)


def test_an_unknown_plugin_says_where_to_look():
    with pytest.raises(BackendNotInstalled, match="python -m dc_core plugins"):
        plugins.backend("no_such_backend").info()


HUB = """
from dc_core import hookimpl
from dc_core.errors import BackendNotInstalled

@hookimpl
def dc_publish(model, where, options):
    return (model, where, dict(options))

@hookimpl
def dc_fetch(cls, name, options):
    if name == "needs/torch":
        raise BackendNotInstalled("The plugin 'torch' is not installed.")
    return (cls, name, dict(options))
"""


@pytest.fixture
def hub(install, monkeypatch):
    group = PluginGroup("dc.test_hubs", plugins.PretrainedHooks, {"dc_hub": "dc-hub"})
    install("dist-hub", {"dc.test_hubs": {"dc_hub": "hub_plugin"}}, {"hub_plugin": HUB})
    return plugins.Pretrained(group)


def test_the_hub_gets_what_was_asked_for(hub):
    assert hub.publish("model", "a/b", {"tag": "x"}) == ("model", "a/b", {"tag": "x"})
    assert hub.fetch(int, "a/b", {}) == (int, "a/b", {})


def test_a_hub_that_keeps_no_checkpoints_is_to_be_upgraded(hub):
    with pytest.raises(HubNotInstalled, match="--upgrade dc-hub"):
        hub.checkpoints("./run", {})


def test_a_hub_that_lacks_a_backend_is_not_taken_for_a_missing_hub(hub):
    with pytest.raises(BackendNotInstalled, match="'torch'"):
        hub.fetch(int, "needs/torch", {})


def test_without_a_hub_the_error_says_what_to_install():
    hub = plugins.Pretrained(
        PluginGroup("dc.no_such_group", plugins.PretrainedHooks, {"dc_hub": "dc-hub"})
    )
    with pytest.raises(HubNotInstalled, match="pip install dc-hub"):
        hub.fetch(int, "a/b", {})
    with pytest.raises(ImportError):
        hub.publish(None, "a/b", {})


@pytest.mark.parametrize(
    ("versions", "capabilities", "what"),
    [
        (3, frozenset(), "`versions` is 3"),
        ([("tiny", "1.0")], frozenset(), "`versions`"),
        ({"tiny": 1}, frozenset(), "`versions`"),
        ({1: "1.0"}, frozenset(), "`versions`"),
        ({"": "1.0"}, frozenset(), "`versions`"),
        ({"tiny": ""}, frozenset(), "`versions`"),
        ({"tiny": "1.0"}, "weights", "`capabilities` is 'weights'"),
        ({"tiny": "1.0"}, ["weights"], "`capabilities`"),
        ({"tiny": "1.0"}, frozenset({1}), "`capabilities`"),
    ],
)
def test_a_description_of_a_backend_is_of_text(versions, capabilities, what):
    with pytest.raises(ParameterError, match=what) as caught:
        BackendInfo(versions, capabilities)
    assert caught.value.hint

"""Publishing is atomic: killed, raced, out of disk space or denied, it leaves nothing partial."""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import dc_core
from dc_hub import check_publishable, errors, from_pretrained, pin, publish, read_pins, save
from dc_hub.files.lease import lease

SYSTEM_CALLS = frozenset(
    ["open", "mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "write", "close", "scandir"]
)


def in_a_child(action):
    """Run ``action`` in a forked process and return its wait status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    code = 1
    try:
        action()
        code = 0
    finally:
        os._exit(code)


def killed_at(step, action):
    """Run ``action`` in a child that is killed before its ``step``-th call into the system."""

    def run():
        count = 0

        def watch(frame, event, function):
            nonlocal count
            if event == "c_call" and function.__name__ in SYSTEM_CALLS:
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(watch)
        action()

    status = in_a_child(run)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def leftovers(hub):
    return [path for path in hub.path.rglob("*") if path.name.startswith(".")]


@pytest.mark.needs("fork")
def test_a_publisher_killed_at_any_step_leaves_the_old_state_or_the_new(hub, models, dataset):
    old, new = (models["Linear"](alpha).fit(dataset) for alpha in (1.0, 2.0))
    before = publish(old, "m", hub=hub)
    after = publish(new, "other", hub=hub).revision
    step = 0
    seen = set()
    while killed_at(step := step + 1, lambda: publish(new, "m", hub=hub)):
        state = hub.tags("m")["main"]
        seen.add(state)
        assert state in (before.revision, after)
        assert from_pretrained("m", hub=hub).alpha == (1.0 if state == before.revision else 2.0)
        assert set(hub.revisions("m")) <= {before.revision, after}
        publish(new, "m", hub=hub)
        hub.gc("m", older_than=0.0)
        assert not leftovers(hub)
        hub.move_tag("m", "main", before.revision, expected=after)
        for file in (hub.path / "m/revisions" / after).iterdir():
            file.unlink()
        (hub.path / "m/revisions" / after).rmdir()
    assert step > 30
    assert seen == {before.revision, after}


@pytest.mark.needs("fork")
def test_the_first_publisher_killed_at_any_step_leaves_no_model_or_the_model(hub, linear):
    step = 0
    while killed_at(step := step + 4, lambda: publish(linear, f"m{step}", hub=hub)):
        try:
            assert from_pretrained(f"m{step}", hub=hub).alpha == linear.alpha
        except (errors.HubUnavailable, errors.ModelNotFound, errors.RevisionNotFound):
            publish(linear, f"m{step}", hub=hub)
            assert from_pretrained(f"m{step}", hub=hub).alpha == linear.alpha


@pytest.mark.needs("fork")
def test_racing_publishers_of_one_tag_all_keep_their_revisions_and_one_gets_the_tag(
    hub, models, dataset
):
    trained = [models["Linear"](float(alpha)).fit(dataset) for alpha in range(6)]
    children = []
    for model in trained:
        pid = os.fork()
        if pid == 0:
            code = 2
            try:
                publish(model, "m", hub=hub)
                code = 0
            except errors.TagMoved:
                code = 1
            finally:
                os._exit(code)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert set(codes) <= {0, 1}
    winners = [model.alpha for model, code in zip(trained, codes, strict=True) if code == 0]
    assert from_pretrained("m", hub=hub).alpha in winners
    assert len(hub.revisions("m")) == 6
    assert not leftovers(hub)


def test_publishing_the_same_model_again_changes_nothing(hub, linear):
    first = publish(linear, "m", hub=hub)
    files = {path: path.stat().st_mtime_ns for path in first.path.iterdir()}
    assert publish(linear, "m", hub=hub) == first
    assert {path: path.stat().st_mtime_ns for path in first.path.iterdir()} == files


def test_publishing_over_a_damaged_revision_is_an_error_that_names_the_file(hub, linear):
    weights = publish(linear, "m", hub=hub).path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(errors.HashMismatch, match=r"model\.safetensors"):
        publish(linear, "m", hub=hub)


def test_a_tag_that_was_moved_meanwhile_is_not_overwritten(hub, models, dataset):
    a, b, c = (
        publish(
            models["Linear"](alpha).fit(dataset), "m", hub=hub, tag=f"v{alpha:.0f}", move_main=False
        )
        for alpha in (1.0, 2.0, 3.0)
    )
    hub.move_tag("m", "main", a.revision, expected=None)
    hub.move_tag("m", "main", b.revision, expected=a.revision)
    with pytest.raises(errors.TagMoved, match=b.revision):
        hub.move_tag("m", "main", c.revision, expected=a.revision)
    with pytest.raises(errors.RevisionNotFound):
        hub.move_tag("m", "main", "0" * 64, expected=b.revision)
    assert hub.tags("m")["main"] == b.revision


def test_waiting_for_a_held_lease_times_out_and_names_its_holder(hub, linear):
    published = publish(linear, "m", hub=hub)
    with lease(hub.path / "m/refs/.lock"):
        started = time.monotonic()
        with pytest.raises(errors.LockTimeout, match=str(os.getpid())):
            hub.move_tag("m", "v1", published.revision, expected=None, wait=0.1)
        assert time.monotonic() - started < 10
    hub.move_tag("m", "v1", published.revision, expected=None, wait=0.1)


@pytest.mark.needs("fork", "process numbers")
def test_a_lease_of_a_dead_process_is_broken_at_once(hub, linear):
    published = publish(linear, "m", hub=hub)
    lock = hub.path / "m/refs/.lock"

    def die_holding():
        with lease(lock):
            os._exit(0)

    in_a_child(die_holding)
    assert lock.exists()
    hub.move_tag("m", "v1", published.revision, expected=None, wait=0.1)


def test_a_directory_in_the_place_of_a_lease_is_set_aside(hub, linear, monkeypatch):
    monkeypatch.setattr("dc_hub.files.lease.TERM", 0.1)
    published = publish(linear, "m", hub=hub)
    lock = hub.path / "m/refs/.lock"
    (lock / "full").mkdir(parents=True)
    hub.move_tag("m", "v1", published.revision, expected=None, wait=5.0)
    assert hub.tags("m")["v1"] == published.revision
    assert not lock.exists()
    hub.gc("m")


def test_an_abandoned_lease_of_another_machine_is_broken_after_its_term(tmp_path, monkeypatch):
    monkeypatch.setattr("dc_hub.files.lease.TERM", 0.1)
    lock = tmp_path / ".lock"
    lock.write_text("elsewhere 1 token")
    with lease(lock, wait=5.0) as mine:
        assert mine.held()
    assert not lock.exists()


def test_a_stalled_holder_notices_that_its_lease_was_broken(tmp_path):
    lock = tmp_path / ".lock"
    with lease(lock) as mine:
        lock.write_text("elsewhere 1 token")
        assert not mine.held()
    assert lock.exists()


def test_a_model_that_cannot_be_stored_leaves_no_trace(hub, models, dataset):
    model = models["Linear"](seed=lambda: 0).fit(dataset)
    with pytest.raises(errors.NotSerializable, match="seed"):
        publish(model, "m", hub=hub)
    assert not hub.path.exists()


def test_a_weight_that_cannot_be_stored_leaves_no_trace(hub, linear):
    linear.coefficients = linear.coefficients.astype(np.complex128)
    with pytest.raises(errors.NotSerializable, match="coefficients"):
        publish(linear, "m", hub=hub)
    assert not hub.path.exists()


def test_metadata_that_is_not_json_leaves_no_trace(hub, linear):
    with pytest.raises(errors.NotSerializable, match=r"metadata\.rmse"):
        publish(linear, "m", hub=hub, metadata={"rmse": float("nan")})
    assert not hub.path.exists()


@pytest.mark.needs("resource limits")
def test_a_full_disk_is_a_typed_error_and_leaves_nothing_partial(hub, linear):
    linear.coefficients = np.zeros((100_000, 1))
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(errors.HubUnavailable, match="no room"):
            publish(linear, "m", hub=hub)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert hub.revisions("m") == []
    assert hub.tags("m") == {}
    assert not leftovers(hub)


@contextmanager
def somebody_else(path):
    """Become a user without permissions, who may enter the folders that lead to ``path``."""
    opened = [p for p in path.parents if p.stat().st_mode & 0o777 == 0o700]
    for folder in opened:
        folder.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for folder in opened:
            folder.chmod(0o700)


needs_root = pytest.mark.needs("root")


@needs_root
def test_a_hub_of_somebody_else_can_be_read_and_not_written(tmp_path, linear):
    published = publish(linear, "m", hub=tmp_path / "shared")
    with somebody_else(published.path):
        from_pretrained(published.path)
        with pytest.raises(errors.ReadOnlyHub, match="DEEPCHEM_MODEL_HUB"):
            publish(linear, "n", hub=tmp_path / "shared")


ATTEMPTS = {
    "names": lambda hub, model: hub.names(),
    "tags": lambda hub, model: hub.tags("m"),
    "revisions": lambda hub, model: hub.revisions("m"),
    "resolve": lambda hub, model: hub.resolve("m"),
    "gc": lambda hub, model: hub.gc("m"),
    "publish": lambda hub, model: publish(model, "m", hub=hub),
    "load": lambda hub, model: from_pretrained("m", hub=hub),
    "load a directory": lambda hub, model: from_pretrained(hub.path / "m" / "revisions"),
    "pin": lambda hub, model: pin("m", hub=hub),
    "pin there": lambda hub, model: read_pins(hub.path / "m" / "dchub.lock"),
}


@needs_root
@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("closed", ["", "m"])
@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_hub_that_may_not_be_entered_is_unavailable(hub, linear, attempt, closed, mode):
    publish(linear, "m", hub=hub)
    (hub.path / closed).chmod(mode)
    if (attempt, closed, mode) == ("names", "m", 0o444):  # which can be listed, and not entered
        with somebody_else(hub.path):
            assert hub.names() == ["m"]
        return
    with somebody_else(hub.path), pytest.raises(errors.HubUnavailable):
        ATTEMPTS[attempt](hub, linear)


@needs_root
def test_leftovers_of_another_user_do_not_stop_garbage_collection(hub, linear):
    left = publish(linear, "m", hub=hub).path.parents[1] / "refs" / ".lock.left"
    left.touch()
    left.parent.chmod(0o1777)
    os.utime(left, (0, 0))
    with somebody_else(hub.path):
        assert hub.gc("m") == []
    assert hub.gc("m") == [left]


@pytest.mark.parametrize("linked", ["lab", "lab/m", "lab/m/refs", "lab/m/revisions"])
def test_no_link_in_a_hub_leads_elsewhere(hub, linear, tmp_path, linked):
    publish(linear, "lab/m", hub=hub)
    (hub.path / linked).rename(tmp_path / "elsewhere")
    (hub.path / linked).symlink_to(tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere").rglob("*"))
    for attempt in (
        lambda: publish(linear, "lab/m", hub=hub),
        lambda: publish(linear, "lab/new", hub=hub) if linked == "lab" else hub.gc("lab/m"),
        lambda: from_pretrained("lab/m", hub=hub),
    ):
        with pytest.raises(errors.UnsafePath, match="link"):
            attempt()
    assert sorted((tmp_path / "elsewhere").rglob("*")) == before


def test_what_crashed_publishers_left_is_removed_when_it_is_old(hub, linear):
    revisions = publish(linear, "m", hub=hub).path.parent
    for name, age in ((".tmp-old", 100_000), (".tmp-new", 10)):
        (revisions / name).mkdir()
        (revisions / name / "model.safetensors").write_bytes(b"half")
        for path in (revisions / name / "model.safetensors", revisions / name):
            os.utime(path, (time.time() - age,) * 2)
    publish(linear, "m", hub=hub)
    assert sorted(path.name for path in leftovers(hub)) == [".tmp-new"]


def test_a_clock_that_goes_back_removes_nothing(hub, linear, monkeypatch):
    unfinished = publish(linear, "m", hub=hub).path.parent / ".tmp-new"
    unfinished.mkdir()
    yesterday = time.time() - 100_000
    monkeypatch.setattr(time, "time", lambda: yesterday)
    assert hub.gc("m") == []
    assert unfinished.is_dir()


def test_a_directory_that_holds_something_else_is_not_overwritten(
    tmp_path, linear, models, dataset
):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(errors.AlreadyExists, match="mine"):
        save(linear, tmp_path / "mine")
    assert [path.name for path in tmp_path.joinpath("mine").iterdir()] == ["thesis.txt"]
    saved = save(linear, tmp_path / "model")
    assert save(linear, tmp_path / "model") == saved
    with pytest.raises(errors.AlreadyExists):
        save(models["Linear"](9.0).fit(dataset), tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "model"]


@pytest.mark.needs("file modes")
def test_files_have_the_mode_that_the_umask_leaves(tmp_path, linear):
    before = os.umask(0o027)
    try:
        published = publish(linear, "m", hub=tmp_path / "hub")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in published.path.iterdir()} == {0o640}
    assert published.path.stat().st_mode & 0o777 == 0o750


@pytest.mark.needs("resource limits")
@pytest.mark.parametrize("spare", range(4))
def test_too_few_file_descriptors_are_a_typed_error_and_nothing_is_lost(hub, linear, spare):
    published = publish(linear, "m", hub=hub)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, hard))
    refused = 0
    try:
        for action in (
            lambda: from_pretrained("m", hub=hub),
            lambda: publish(linear, f"n{spare}", hub=hub),
        ):
            try:
                action()
            except errors.HubUnavailable:
                refused += 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert refused == 2 or spare > 0
    assert from_pretrained("m", hub=hub).alpha == linear.alpha
    assert publish(linear, "m", hub=hub) == published
    assert not leftovers(hub)


def test_threads_can_publish_and_load_at_the_same_time(hub, models, dataset):
    publish(models["Linear"](0.0).fit(dataset), "m", hub=hub)

    def work(i):
        revision = publish(
            models["Linear"](float(i)).fit(dataset), f"m{i % 3}", hub=hub, move_main=False
        )
        back = from_pretrained(f"m{i % 3}", hub=hub, revision=revision.revision)
        return from_pretrained("m", hub=hub).alpha, back.alpha

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(16))) == [(0.0, float(i)) for i in range(16)]
    assert not leftovers(hub)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("fifo", marks=pytest.mark.needs("FIFOs")),
        "sparse",
        "no text",
        "link",
        "dangling link",
    ],
)
def test_whatever_has_the_name_of_a_lease_neither_hangs_nor_breaks_publishing(
    hub, linear, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr("dc_hub.files.lease.TERM", 0.1)
    (hub.path / "m" / "refs").mkdir(parents=True)
    lock = hub.path / "m" / "refs" / ".lock"
    if kind == "fifo":
        os.mkfifo(lock)
    elif kind == "sparse":
        with lock.open("wb") as file:
            file.truncate(1 << 40)
    elif kind == "no text":
        lock.write_bytes(b"\xff\xfe\x00")
    elif kind == "link":
        (tmp_path / "target").write_text("kept")
        lock.symlink_to(tmp_path / "target")
    else:
        lock.symlink_to(tmp_path / "nowhere")
    started = time.monotonic()
    published = publish(linear, "m", hub=hub)
    assert time.monotonic() - started < 10
    assert hub.tags("m") == {"main": published.revision}
    assert kind != "link" or (tmp_path / "target").read_text() == "kept"


def test_an_unfitted_part_is_refused_by_name_unless_it_is_asked_for(hub, chain, models):
    Linear, Shift, Chain = models["Linear"], models["Shift"], models["Chain"]
    half = Chain(chain.model, chain.featurizer, [Shift(), chain.transformers[0]])
    for model, part in (
        (Linear(), "This Linear"),
        (half, r"The part transformers/0 \(a Shift\)"),
        (Chain(half), r"The part model/transformers/0 \(a Shift\)"),
        (Shift(), "This Shift"),
    ):
        with pytest.raises(errors.NotFitted, match=part) as caught:
            publish(model, "m", hub=hub)
        assert isinstance(caught.value, dc_core.errors.NotFitted)
        assert "unfitted=True" in caught.value.hint
        assert not hub.path.exists()
    publish(half, "half", hub=hub, unfitted=True)
    back = from_pretrained("half", hub=hub)
    assert back.model.is_fitted
    assert not back.transformers[0].is_fitted


def test_what_has_nothing_to_learn_is_published_as_it_is(hub, models):
    publish(models["Letters"](), "letters", hub=hub)


def test_a_model_can_be_checked_before_it_is_trained(hub, models, dataset):
    check_publishable(models["Linear"]())
    check_publishable(models["Linear"]().fit(dataset))
    model = models["Linear"](seed=lambda: 0)
    with pytest.raises(errors.NotSerializable) as before:
        check_publishable(model)
    with pytest.raises(errors.NotSerializable) as after:
        publish(model.fit(dataset), "m", hub=hub)
    assert str(before.value) == str(after.value)
    assert not hub.path.exists()


@pytest.mark.parametrize("publish_as", [publish, save])
def test_a_name_in_the_place_of_the_model_is_told_the_order(hub, linear, publish_as):
    with pytest.raises(
        errors.ParamsError, match=r"'net' was given as the model.*model comes first"
    ):
        publish_as("net", linear)

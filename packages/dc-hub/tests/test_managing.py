"""Removing models and revisions, and setting, moving and deleting tags."""

import errno
import os
import signal
import sys
from pathlib import Path

import pytest

import dc_hub
from dc_hub import (
    delete_tag,
    errors,
    from_pretrained,
    list_tags,
    ls,
    move_tag,
    publish,
    publish_directory,
    rm,
    save,
    set_tag,
)
from dc_hub.files.lease import lease

CALLS = {"unlink", "rename", "rmdir", "mkdir", "open", "fsync"}


@pytest.fixture
def three(hub, models, dataset):
    """Publish three revisions of one model; ``main`` is the last, and v1 to v3 name them."""
    return [
        publish(models["Linear"](float(i)).fit(dataset), "lab/m", hub=hub, tag=f"v{i}").revision
        for i in (1, 2, 3)
    ]


def everything_below(hub):
    return sorted(hub.path.rglob("*")) if hub.path.exists() else []


def test_main_moves_with_a_new_tag_unless_told_otherwise(hub, models, dataset, tmp_path):
    first = publish(models["Linear"](1.0).fit(dataset), "m", hub=hub, tag="v1")
    second = publish(models["Linear"](2.0).fit(dataset), "m", hub=hub, tag="v2", move_main=False)
    assert hub.tags("m") == {"main": first.revision, "v1": first.revision, "v2": second.revision}
    save(models["Linear"](3.0).fit(dataset), tmp_path / "saved")
    third = publish_directory(tmp_path / "saved", "m", hub=hub, tag=["v3", "lts"])
    assert hub.tags("m")["main"] == hub.tags("m")["lts"] == third.revision
    fourth = publish(models["Linear"](4.0).fit(dataset), "m", hub=hub, move_main=False)
    assert fourth.revision not in hub.tags("m").values()


@pytest.mark.parametrize("tag", [5, None, b"v1", ""])
def test_a_tag_that_is_not_a_name_is_a_typed_error_before_anything_is_written(hub, linear, tag):
    with pytest.raises(errors.UnsafePath):
        publish(linear, "m", hub=hub, tag=[tag])
    assert not hub.path.exists()


@pytest.mark.parametrize("option", [{"tag": "v1"}, {"move_main": False}, {"hub": "here"}])
def test_saving_to_a_directory_refuses_the_options_of_a_hub(linear, tmp_path, option):
    with pytest.raises(errors.ParamsError, match=next(iter(option))):
        linear.to_pretrained(tmp_path / "model", **option)
    assert not (tmp_path / "model").exists()


def test_ls_lists_names_tags_and_revisions(hub, three):
    (listing,) = ls(hub=hub)
    assert listing.name == "lab/m"
    assert listing.tags == {"main": three[2], "v1": three[0], "v2": three[1], "v3": three[2]}
    assert listing.revisions == tuple(sorted(three))


def test_a_new_tag_points_at_main_or_at_the_revision_named(hub, three):
    assert set_tag("lab/m", "stable", hub=hub).revision == three[2]
    assert set_tag("lab/m@v1", "lts", hub=hub).revision == three[0]
    assert set_tag("lab/m", "lts", hub=hub, revision=three[0][:12]).revision == three[0]
    assert list_tags("lab/m", hub=hub)["lts"] == three[0]
    with pytest.raises(errors.TagMoved, match=r"dc_hub\.move_tag"):
        set_tag("lab/m@v2", "lts", hub=hub)
    assert list_tags("lab/m", hub=hub)["lts"] == three[0]


def test_a_tag_moves_only_from_the_revision_expected(hub, three):
    with pytest.raises(errors.TagMoved, match=three[2]):
        move_tag("lab/m@v1", "main", hub=hub, expected="v2")
    move_tag("lab/m@v1", "main", hub=hub, expected="v3")
    assert from_pretrained("lab/m", hub=hub).alpha == 1.0
    move_tag("lab/m@v2", "main", hub=hub)
    assert from_pretrained("lab/m", hub=hub).alpha == 2.0
    with pytest.raises(errors.RevisionNotFound):
        move_tag("lab/m@v2", "new", hub=hub)


def test_the_call_that_an_error_about_a_tag_proposes_works(hub, three):
    with pytest.raises(errors.TagMoved) as caught:
        set_tag("lab/m@v1", "v2", hub=hub)
    call = caught.value.hint.partition("dc_hub.")[2].removesuffix(").")
    eval(f"dc_hub.{call}, hub=hub)", {"dc_hub": dc_hub, "hub": hub})
    assert list_tags("lab/m", hub=hub)["v2"] == three[0]


def test_deleting_a_tag_keeps_the_revision(hub, three):
    with pytest.raises(errors.TagMoved):
        delete_tag("lab/m", "v1", hub=hub, expected="v2")
    delete_tag("lab/m", "v1", hub=hub, expected="v1")
    assert from_pretrained("lab/m", hub=hub, revision=three[0]).alpha == 1.0
    with pytest.raises(errors.RevisionNotFound):
        delete_tag("lab/m", "v1", hub=hub)


def test_main_is_deleted_only_if_asked_for_and_then_the_error_names_the_newest(hub, three):
    with pytest.raises(errors.DefaultTag, match=r"alone names no revision.*tag move.*force=True"):
        delete_tag("lab/m", "main", hub=hub)
    assert list_tags("lab/m", hub=hub)["main"] == three[2]
    delete_tag("lab/m", "main", hub=hub, force=True)
    for seconds, revision in zip((30, 10, 20), three, strict=True):
        os.utime(hub.path / "lab/m/revisions" / revision, (seconds, seconds))
    with pytest.raises(errors.RevisionNotFound, match=r"newest revision.*v1, v2, v3") as caught:
        from_pretrained("lab/m", hub=hub)
    target, tag = caught.value.hint.partition("dc-hub tag set ")[2].split()
    assert set_tag(target, tag, hub=hub).revision == three[0]
    assert from_pretrained("lab/m", hub=hub).alpha == 1.0


def test_a_damaged_tag_can_be_deleted(hub, three):
    (hub.path / "lab/m/refs/v1.json").write_bytes(b"{}")
    delete_tag("lab/m", "v1", hub=hub)
    assert "v1" not in list_tags("lab/m", hub=hub)


@pytest.mark.parametrize("name", ["lab/m@v1", "./lab/m"])
def test_tags_belong_to_a_model_in_a_hub_and_not_to_a_revision(hub, three, name):
    for action in (list_tags, lambda name, hub: delete_tag(name, "v1", hub=hub)):
        with pytest.raises(errors.UnsafePath):
            action(name, hub=hub)
    with pytest.raises(errors.UnsafePath, match="directory"):
        rm("./lab/m", hub=hub)


def test_a_revision_that_tags_point_at_is_removed_only_knowingly(hub, three):
    with pytest.raises(errors.RevisionTagged, match="main, v3"):
        rm("lab/m@v3", hub=hub)
    assert from_pretrained("lab/m", hub=hub).alpha == 3.0
    assert rm("lab/m@v3", hub=hub, remove_tags=True) == [three[2]]
    assert list_tags("lab/m", hub=hub) == {"v1": three[0], "v2": three[1]}
    with pytest.raises(errors.RevisionNotFound):
        hub.resolve("lab/m", three[2])
    delete_tag("lab/m", "v2", hub=hub)
    assert rm("lab/m", hub=hub, revision=three[1][:12]) == [three[1]]
    assert hub.revisions("lab/m") == [three[0]]


@pytest.mark.parametrize("name", ["lab/m", "lab/m@v1"])
def test_removing_a_model_or_its_last_revision_leaves_nothing(hub, linear, name):
    revision = publish(linear, "lab/m", hub=hub, tag="v1").revision
    assert rm(name, hub=hub, remove_tags=True) == [revision]
    assert everything_below(hub) == []
    with pytest.raises(errors.ModelNotFound):
        rm("lab/m", hub=hub)
    assert publish(linear, "lab/m", hub=hub).revision == revision


def test_removing_a_model_keeps_the_models_below_its_name(hub, linear):
    for name in ("lab", "lab/m"):
        publish(linear, name, hub=hub)
    rm("lab", hub=hub)
    assert hub.names() == ["lab/m"]
    rm("lab/m", hub=hub)
    assert everything_below(hub) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove open files")
def test_a_loaded_model_outlives_the_removal_of_its_files(hub, linear, dataset):
    publish(linear, "m", hub=hub)
    model = from_pretrained("m", hub=hub)
    rm("m", hub=hub)
    assert (model.predict(dataset) == linear.predict(dataset)).all()


def test_a_removal_that_may_not_write_removes_nothing(hub, three):
    with lease(hub.path / "lab/m/refs/.lock"), pytest.raises(errors.LockTimeout):
        hub.remove("lab/m", wait=0.05)
    assert len(hub.revisions("lab/m")) == 3


@pytest.mark.parametrize("name", ["lab/m", "lab/m@v1"])
def test_a_removal_that_the_system_refuses_leaves_the_tags(hub, three, name, monkeypatch):
    before = hub.tags("lab/m")
    rename = Path.rename

    def refuse(path, target):
        if path.name == "revisions" or path.parent.name == "revisions":
            raise PermissionError(errno.EACCES, "in use")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(errors.ReadOnlyHub):
        rm(name, hub=hub, remove_tags=True)
    assert hub.tags("lab/m") == before
    assert from_pretrained("lab/m@v1", hub=hub).alpha == 1.0


@pytest.mark.parametrize("kind", ["damaged", "link"])
def test_a_model_with_a_tag_that_cannot_be_read_can_be_removed(hub, three, kind):
    tag = hub.path / "lab/m/refs/v1.json"
    tag.unlink()
    tag.symlink_to("nowhere") if kind == "link" else tag.write_bytes(b"[")
    rm("lab/m", hub=hub)
    assert everything_below(hub) == []


def test_a_tag_cannot_move_to_a_revision_that_was_removed_meanwhile(hub, three, monkeypatch):
    """Between publishing a revision and moving the tag somebody may remove the revision."""
    inner = type(hub)._change_refs
    rivals = iter([lambda: rm("lab/m@v1", hub=hub, remove_tags=True)])

    def first_the_rival(self, *arguments):
        next(rivals, lambda: None)()
        inner(self, *arguments)

    monkeypatch.setattr(type(hub), "_change_refs", first_the_rival)
    with pytest.raises(errors.RevisionNotFound):
        hub.move_tag("lab/m", "stable", three[0], expected=None)
    assert "stable" not in hub.tags("lab/m")


def killed_at(step, action):
    """Run ``action`` in a child killed before its ``step``-th call; tell whether it was killed."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def watch(frame, event, function):
            nonlocal count
            if event == "c_call" and function.__name__ in CALLS:
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(watch)
        action()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.mark.needs("fork", "process numbers")
@pytest.mark.parametrize("name", ["m", "m@v1"])
def test_a_removal_killed_at_any_step_leaves_complete_models_or_none(hub, models, dataset, name):
    trained = [models["Linear"](float(i)).fit(dataset) for i in (1, 2)]
    step, killed = 0, True
    outcomes = set()
    while killed:
        for model in trained:
            publish(model, "m", hub=hub, tag=f"v{model.alpha:.0f}")
        step += 1
        killed = killed_at(step, lambda: rm(name, hub=hub, remove_tags=True))
        there = hub.revisions("m") if hub.names() else []
        outcomes.add(len(there))
        for revision in there:
            assert from_pretrained("m", hub=hub, revision=revision).alpha in (1.0, 2.0)
        tags = hub.tags("m") if there else {}
        assert set(tags.values()) <= set(there)
        if there:
            hub.gc("m", older_than=0.0)
            assert not list(hub.path.rglob(".tmp-*"))
    assert step > 10
    assert outcomes == ({0, 2} if name == "m" else {1, 2})

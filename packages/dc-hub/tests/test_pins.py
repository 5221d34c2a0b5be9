"""A pin does not move when the tag does."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from dc_hub import (
    Pin,
    check_pins,
    errors,
    from_pretrained,
    load_weights,
    move_tag,
    pin,
    pin_models,
    publish,
    pull_pins,
    read_lock,
    read_pins,
    rm,
    set_tag,
    update_pins,
)


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "dchub.lock"


@pytest.fixture
def moved(hub, models, dataset, lock):
    """A hub in which the tag of a pinned model has moved; the pinned and the new revision."""
    old = publish(models["Linear"](1.0).fit(dataset), "m", hub=hub).revision
    pin("m", hub=hub, lock=lock)
    return old, publish(models["Linear"](2.0).fit(dataset), "m", hub=hub).revision


def test_a_pinned_model_stays_when_its_tag_moves(hub, models, dataset, tmp_path):
    lock = tmp_path / "dchub.lock"
    publish(models["Linear"](1.0).fit(dataset), "m", hub=hub)
    revision = pin("m", hub=hub, lock=lock)
    publish(models["Linear"](2.0).fit(dataset), "m", hub=hub)
    assert from_pretrained("m", hub=hub).alpha == 2.0
    assert from_pretrained("m", hub=hub, lock=lock).alpha == 1.0
    assert read_pins(lock) == {"m": revision}


def test_pins_are_added_and_replaced(hub, linear, tmp_path):
    lock = tmp_path / "dchub.lock"
    first = publish(linear, "a", hub=hub)
    publish(linear, "lab/b", hub=hub, tag="v1")
    pin("a", hub=hub, lock=lock)
    pin("lab/b@v1", hub=hub, lock=lock)
    pin("a", hub=hub, lock=lock)
    assert read_pins(lock) == {"a": first.revision, "lab/b": first.revision}


def test_a_name_without_a_pin_says_how_to_pin_it(hub, linear, tmp_path):
    publish(linear, "m", hub=hub)
    lock = tmp_path / "dchub.lock"
    with pytest.raises(errors.FileMissing):
        from_pretrained("m", hub=hub, lock=lock)
    lock.write_text('{"models": {}}')
    with pytest.raises(errors.RevisionNotFound, match="pin"):
        from_pretrained("m", hub=hub, lock=lock)


def as_lock(**changes):
    entry = {"revision": "a" * 64, "tag": "main", "hub": "", "size": 1} | changes
    content = {"format": "dc-lock", "format_version": [1, 0], "models": {"m": entry}}
    return json.dumps(content)


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '{"models": 5}', '{"models": {"m": "main"}}', '{"models": {"m": null}}'),
        '{"format": "dc-index", "format_version": [1, 0], "models": {}}',
        '{"models": {}, "more": 1}',
        *(as_lock(revision=value) for value in ("main", None, "A" * 64)),
        *(as_lock(tag=value) for value in ("../x", 3, "a" * 12)),
        *(as_lock(hub=value) for value in (None, "x\x1b[2J")),
        *(as_lock(size=value) for value in (-1, 1.0, True, 10**19)),
        as_lock(other=1),
    ],
)
def test_a_lock_that_holds_no_pins_is_a_typed_error(tmp_path, content):
    lock = tmp_path / "dchub.lock"
    lock.write_text(content)
    with pytest.raises(errors.ParamsError):
        read_pins(lock)


def test_a_lock_of_another_version_is_a_typed_error(lock):
    lock.write_text(as_lock().replace("[1, 0]", "[2, 0]"))
    with pytest.raises(errors.FormatVersionError, match="upgrade"):
        read_pins(lock)


def test_a_lock_as_it_was_written_first_is_read_and_kept(lock, hub, linear):
    first = publish(linear, "m", hub=hub).revision
    lock.write_text(json.dumps({"models": {"m": first}}))
    assert read_lock(lock) == {"m": Pin(first)}
    publish(linear, "n", hub=hub)
    pin("n", hub=hub, lock=lock)
    assert read_lock(lock)["m"] == Pin(first)


def test_a_pin_records_tag_and_size_and_no_path_of_this_machine(lock, hub, linear):
    published = publish(linear, "m", hub=hub, tag="v1")
    size = sum(f.stat().st_size for f in published.path.iterdir() if f.name != "MANIFEST.json")
    pin("m@v1", hub=hub, lock=lock)
    assert read_lock(lock) == {"m": Pin(published.revision, "v1", "", size)}
    pin(f"m@{published.revision[:12]}", hub=hub, lock=lock)
    assert read_lock(lock) == {"m": Pin(published.revision, None, "", size)}
    assert str(hub.path) not in lock.read_text()


def test_another_revision_than_the_pinned_one_is_refused(moved, hub, lock):
    with pytest.raises(errors.PinMismatch, match="dc-hub lock m@main"):
        from_pretrained("m@main", hub=hub, lock=lock)
    with pytest.raises(errors.PinMismatch):
        from_pretrained("m", hub=hub, lock=lock, revision=moved[1])
    assert from_pretrained("m", hub=hub, lock=lock, revision=moved[0][:12]).alpha == 1.0


def test_the_environment_names_a_lock_file_for_loading(moved, hub, lock, monkeypatch, models):
    monkeypatch.setenv("DEEPCHEM_LOCK", str(lock))
    model = from_pretrained("m", hub=hub)
    assert model.alpha == 1.0
    into = load_weights("m", models["Linear"](1.0), hub=hub)
    assert (into.coefficients == model.coefficients).all()
    with pytest.raises(errors.PinMismatch):
        from_pretrained("m@main", hub=hub)


def test_a_lock_file_in_the_working_directory_is_not_used_unless_asked_for(
    moved, hub, lock, monkeypatch
):
    monkeypatch.chdir(lock.parent)
    assert from_pretrained("m", hub=hub).alpha == 2.0


def test_a_check_tells_which_tags_have_moved_and_an_update_pins_them(moved, hub, lock, linear):
    publish(linear, "n", hub=hub)
    pin("n", hub=hub, lock=lock)
    states = {state.name: state for state in check_pins(hub=hub, lock=lock)}
    assert (states["m"].pinned, states["m"].now) == moved
    assert not states["m"].unchanged
    assert states["n"].unchanged
    assert [s.name for s in check_pins(["n"], hub=hub, lock=lock)] == ["n"]
    before = lock.read_bytes()
    update_pins(["n"], hub=hub, lock=lock)
    assert lock.read_bytes() == before
    assert [s.unchanged for s in update_pins(hub=hub, lock=lock)] == [False, True]
    assert read_pins(lock)["m"] == moved[1]


def test_a_pin_by_digest_stays_when_pins_are_updated(moved, hub, lock):
    pin(f"m@{moved[0]}", hub=hub, lock=lock)
    assert check_pins(hub=hub, lock=lock)[0].unchanged
    update_pins(hub=hub, lock=lock)
    assert read_pins(lock) == {"m": moved[0]}


def test_a_check_tells_that_a_pinned_revision_is_gone(moved, hub, lock):
    rm(f"m@{moved[0]}", hub=hub)
    (state,) = check_pins(hub=hub, lock=lock)
    assert not state.available
    assert state.now == moved[1]
    rm("m", hub=hub)
    (state,) = check_pins(hub=hub, lock=lock)
    assert (state.available, state.now) == (False, None)


def test_pinning_several_is_all_or_nothing(hub, linear, lock):
    publish(linear, "a", hub=hub)
    with pytest.raises(errors.ModelNotFound):
        pin_models(["a", "b"], hub=hub, lock=lock)
    assert not lock.exists()
    set_tag("a", "v1", hub=hub)
    assert pin_models(["a@v1"], hub=hub, lock=lock)["a"].tag == "v1"


def test_a_tag_that_its_digest_begins_with_is_pinned_as_a_tag(moved, hub, lock):
    old, new = moved
    tag = old[0]
    set_tag(f"m@{old}", tag, hub=hub)
    assert pin_models([f"m@{tag}"], hub=hub, lock=lock)["m"].tag == tag
    move_tag(f"m@{new}", tag, hub=hub)
    assert check_pins(hub=hub, lock=lock)[0].now == new


def test_pins_that_are_made_at_the_same_time_are_all_kept(hub, linear, lock):
    names = [f"m{i}" for i in range(8)]
    for name in names:
        publish(linear, name, hub=hub)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: pin(name, hub=hub, lock=lock), names))
    assert sorted(read_pins(lock)) == names
    assert [path.name for path in lock.parent.iterdir() if lock.name in path.name] == [lock.name]


def test_all_that_is_pinned_is_pulled(moved, hub, lock):
    assert [(m.name, m.revision) for m in pull_pins(hub=hub, lock=lock)] == [("m", moved[0])]

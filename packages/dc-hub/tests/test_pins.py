"""A pin does not move when the tag does."""

import pytest

from dc_hub import errors, from_pretrained, pin, publish, read_pins


def test_a_pinned_model_stays_when_its_tag_moves(hub, models, dataset, tmp_path):
    lock = tmp_path / "dchub.lock"
    publish(models["Linear"](1.0).fit(dataset), "m", hub=hub)
    revision = pin("m", hub=hub, lock=lock)
    publish(models["Linear"](2.0).fit(dataset), "m", hub=hub)
    assert from_pretrained("m", hub=hub).alpha == 2.0
    assert from_pretrained("m", hub=hub, lock=lock).alpha == 1.0
    assert from_pretrained("m@main", hub=hub, lock=lock).alpha == 2.0
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


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"models": 5}', '{"models": {"m": "main"}}'])
def test_a_lock_that_holds_no_pins_is_a_typed_error(tmp_path, content):
    lock = tmp_path / "dchub.lock"
    lock.write_text(content)
    with pytest.raises(errors.ParamsError):
        read_pins(lock)

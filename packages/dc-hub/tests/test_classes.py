"""Names of classes are stored with the model, so that its probabilities can be named."""

import json

import pytest

from dc_core import register_model
from dc_hub import diff, errors, from_pretrained, info, load_weights, publish

CLASSES = {"y": ("inactive", "active"), "toxicity": ("low", "medium", "high")}


def test_classes_come_back_with_the_model(hub, linear):
    linear.set_classes(CLASSES)
    publish(linear, "lin", hub=hub)
    assert from_pretrained("lin", hub=hub).classes == CLASSES
    assert info("lin", hub=hub).classes == CLASSES
    other = linear.unfitted()
    assert load_weights("lin", other, hub=hub).classes == CLASSES


def test_a_model_without_classes_stores_none(hub, linear):
    stored = publish(linear, "lin", hub=hub)
    assert "classes" not in json.loads((stored.path / "params.json").read_text())
    trained = linear.unfitted()
    trained.set_classes(CLASSES)
    assert load_weights("lin", trained, hub=hub).classes == {}


def test_the_card_and_the_difference_show_classes(hub, linear):
    publish(linear, "lin", hub=hub, tag="numbers")
    linear.set_classes({"y": ("<b>no</b>", "yes")})
    stored = publish(linear, "lin", hub=hub)
    card = (stored.path / "README.md").read_text()
    assert "| classes of y | &lt;b>no&lt;/b>, yes |" in card
    (change,) = diff("lin@numbers", "lin", hub=hub).record
    assert (change.where, change.after) == ("classes.y", ["<b>no</b>", "yes"])


def test_classes_that_loading_would_lose_are_refused(hub, linear, models):
    @register_model("test/Losing")
    class Losing(models["Linear"]):
        def set_classes(self, classes):
            super().set_classes({})

    losing = Losing().import_weights(linear.export_weights())
    losing._classes = {"y": ("a", "b")}
    with pytest.raises(errors.NotSerializable, match="other classes"):
        publish(losing, "lost", hub=hub)

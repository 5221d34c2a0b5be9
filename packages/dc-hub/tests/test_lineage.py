"""A model that is made from stored models says so, and its lineage is read without a cycle."""

import copy
import json
import pickle

import numpy as np
import pytest

from dc_core import NumpyDataset, origins_of
from dc_hub import (
    check_publishable,
    errors,
    from_pretrained,
    lineage,
    load,
    load_weights,
    new_key,
    publish,
    rm,
    save,
    sign,
    summary,
)
from dc_hub.hubs.index import Listed


@pytest.fixture
def base(hub, linear):
    return publish(linear, "lab/base", hub=hub, tag="v1")


def link(stored):
    return f"{stored.name}@{stored.revision}"


def origins(name, hub):
    return summary(name, hub=hub).derived_from


def test_a_model_that_is_loaded_and_fitted_further_names_its_origin(hub, base, dataset):
    model = from_pretrained("lab/base", hub=hub)
    model.fit(NumpyDataset(dataset.X, dataset.y + 1))
    publish(model, "lab/tuned", hub=hub)
    assert origins("lab/tuned", hub) == (link(base),)


def test_a_model_that_is_loaded_and_published_again_is_the_same_model(hub, base, tmp_path):
    again = publish(from_pretrained("lab/base", hub=hub), "lab/copy", hub=hub)
    assert again.revision == base.revision
    assert save(load(base.path), tmp_path / "net").revision == base.revision


def test_new_metadata_alone_derive_nothing(hub, base, dataset):
    tuned = from_pretrained("lab/base", hub=hub).fit(NumpyDataset(dataset.X, dataset.y + 1))
    publish(tuned, "tuned", hub=hub)
    publish(from_pretrained("tuned", hub=hub), "tuned", hub=hub, licence="MIT")
    assert summary("tuned", hub=hub).licence == "MIT"
    assert origins("tuned", hub) == (link(base),)
    publish(from_pretrained("lab/base", hub=hub), "lab/base", hub=hub, licence="MIT")
    assert origins("lab/base", hub) == ()


def test_a_pipeline_of_two_stored_parts_names_both(hub, base, models, dataset):
    shift = models["Shift"]().fit(dataset)
    scaling = publish(shift, "scaling", hub=hub)
    whole = models["Chain"](
        from_pretrained("lab/base", hub=hub),
        transformers=(from_pretrained("scaling", cls=models["Shift"], hub=hub),),
    )
    publish(whole, "whole", hub=hub)
    assert set(origins("whole", hub)) == {link(base), link(scaling)}


def test_a_part_of_a_stored_pipeline_names_the_pipeline(hub, chain):
    whole = publish(chain, "whole", hub=hub)
    publish(from_pretrained("whole", hub=hub).model, "part", hub=hub)
    assert origins("part", hub) == (link(whole),)


def test_an_object_into_which_weights_were_loaded_names_them(hub, base, models, dataset):
    mine = load_weights("lab/base", into=models["Linear"]().fit(dataset), hub=hub)
    mine.fit(NumpyDataset(dataset.X, dataset.y - 1))
    publish(mine, "mine", hub=hub)
    assert origins("mine", hub) == (link(base),)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda m: m], ids=str)
def test_copies_know_where_they_came_from(hub, base, duplicate):
    assert len(origins_of(duplicate(from_pretrained("lab/base", hub=hub)))) == 1


def test_a_link_can_go_to_another_process(hub, base):
    (origin,) = origins_of(from_pretrained("lab/base", hub=hub))
    assert pickle.loads(pickle.dumps(origin)) == origin


def test_a_model_made_anew_from_its_arguments_has_no_origin(hub, base, dataset):
    anew = from_pretrained("lab/base", hub=hub).unfitted()
    anew.fit(NumpyDataset(dataset.X, dataset.y + 1))
    publish(anew, "anew", hub=hub)
    assert origins("anew", hub) == ()


def test_a_directory_of_its_own_is_an_origin_without_a_name(hub, linear, dataset, tmp_path):
    saved = save(linear, tmp_path / "net")
    model = load(saved.path).fit(NumpyDataset(dataset.X, dataset.y + 1))
    publish(model, "m", hub=hub)
    assert origins("m", hub) == (f"@{saved.revision}",)


def test_origins_can_be_given_by_hand(hub, base, linear, models, dataset):
    other = models["Linear"](7.0).fit(dataset)
    for given in ("lab/base", "lab/base@v1", link(base), base, [base, "lab/base"]):
        publish(other, "m", hub=hub, derived_from=given)
        assert origins("m", hub) == (link(base),)
    loaded = from_pretrained("lab/base", hub=hub).fit(NumpyDataset(dataset.X, dataset.y + 1))
    publish(loaded, "m", hub=hub, derived_from=())
    assert origins("m", hub) == ()
    with pytest.raises(errors.ModelNotFound):
        publish(other, "m", hub=hub, derived_from="lab/nothing")


def test_checking_whether_a_model_can_be_published_forgets_nothing(hub, base):
    model = from_pretrained("lab/base", hub=hub)
    check_publishable(model)
    assert len(origins_of(model)) == 1


# The graph


@pytest.fixture
def family(hub, base, models, dataset):
    """base → a → c, base → b → c."""
    stored = {"base": base}
    for number, (name, parents) in enumerate([("a", ["base"]), ("b", ["base"]), ("c", "ab")]):
        model = models["Linear"](2.0 + number).fit(dataset)
        stored[name] = publish(model, name, hub=hub, derived_from=[stored[p] for p in parents])
    return stored


def test_a_lineage_has_ancestors_and_descendants(hub, family):
    found = lineage("a", hub=hub)
    assert str(found.model) == link(family["a"])
    assert [str(one) for one in found.ancestors.values()] == [link(family["base"])]
    assert [str(one) for one in found.descendants.values()] == [link(family["c"])]
    assert found.complete
    assert [one.name for one in found.origins(found.descendants[family["c"].revision])] == ["a"]
    everything = lineage("lab/base", hub=hub)
    assert [one.name for one in everything.descendants.values()] == ["a", "b", "c"]
    assert [one.name for one in lineage("c", hub=hub).ancestors.values()] == ["a", "b", "lab/base"]


def test_a_missing_ancestor_is_shown_as_missing(hub, family):
    rm("lab/base", hub=hub)
    found = lineage("c", hub=hub)
    missing = found.ancestors[family["base"].revision]
    assert (missing.name, missing.found) == ("lab/base", False)


def test_an_ancestor_under_another_name_is_found_by_its_digest(hub, family, linear):
    rm("lab/base", hub=hub)
    publish(linear, "renamed", hub=hub)
    found = lineage("a", hub=hub).ancestors[family["base"].revision]
    assert (found.name, found.found) == ("renamed", True)


def test_an_ancestor_has_the_name_that_it_was_made_from(hub, family, linear):
    publish(linear, "a-copy", hub=hub)
    found = lineage("a", hub=hub).ancestors[family["base"].revision]
    assert (found.name, found.found) == ("lab/base", True)


def test_an_ancestor_whose_name_this_hub_cannot_have_is_missing(hub, linear):
    link = f"Org/Base@{'ab' * 32}"
    publish(linear, "m", hub=hub, derived_from=link)
    (found,) = lineage("m", hub=hub).ancestors.values()
    assert (str(found), found.found) == (link, False)


def test_an_ancestor_without_the_required_signature_is_shown_as_not_trusted(
    hub, family, run, cache
):
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    new_key("alice")
    for name in ("c", "b"):
        sign(name, hub=hub, key="alice")
    policy = cache.parent / "config" / "trust.toml"
    policy.write_text(f"version = 1\n[hubs.'{hub.path}']\nrequire_signature = ['alice']\n")
    ancestors = lineage("c", hub=hub).ancestors
    a, b = (ancestors[family[name].revision] for name in "ab")
    assert (a.found, a.trusted, a.derived_from) == (True, False, ())
    assert (b.trusted, b.derived_from) == (True, (link(family["base"]),))
    assert not ancestors[family["base"].revision].trusted
    code, out, _ = run("lineage", "c", "--hub", hub.path)
    assert (code, out.count("not trusted")) == (0, 2)


def test_a_list_that_says_that_there_is_a_cycle_is_walked_once(family, hub):
    revisions = {name: stored.revision for name, stored in family.items()}

    class Lying:
        def __getattr__(self, name):
            return getattr(hub, name)

        def index(self):
            links = {"base": "c", "a": "base", "b": "base", "c": "a"}
            return {
                family[name].name: Listed(
                    {"main": revisions[name]},
                    (revisions[name],),
                    derived_from={revisions[name]: (link(family[of]),)},
                )
                for name, of in links.items()
            }

        listed = index

    found = lineage("a", hub=Lying())
    assert {one.name for one in found.descendants.values()} == {"c", "lab/base", "b"}
    assert {one.name for one in found.ancestors.values()} == {"lab/base"}


def test_a_directory_has_a_lineage_too(hub, family, tmp_path, models, dataset):
    saved = save(
        models["Linear"](9.0).fit(dataset), tmp_path / "net", derived_from=link(family["a"])
    )
    found = lineage(saved.path, hub=hub)
    assert [one.name for one in found.ancestors.values()] == ["a", "lab/base"]


def test_the_command_prints_a_tree_or_json(hub, family, run):
    code, out, _ = run("lineage", "c", "--hub", hub.path)
    assert code == 0
    lines = [line.rstrip() for line in out.splitlines()]
    base = family["base"].revision[:12]
    assert [line.split("  ")[0] for line in lines] == ["c", "← a", "", "← b", ""]
    assert lines[2].split() == ["←", "lab/base", base, "main,", "v1"]
    assert lines[4].split() == ["←", "lab/base", base, "see", "above"]
    found = json.loads(run("lineage", "lab/base", "--json", "--hub", hub.path)[1])
    assert [one["name"] for one in found["descendants"]] == ["a", "b", "c"]
    assert run("lineage", "nothing", "--hub", hub.path)[0] == 2


def test_prediction_after_loading_is_not_changed_by_the_link(hub, base, linear, dataset):
    np.testing.assert_array_equal(
        from_pretrained("lab/base", hub=hub).predict(dataset), linear.predict(dataset)
    )

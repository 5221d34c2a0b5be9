"""``dc-hub lock`` and ``dc-hub pull --lock``: what they print, and what they exit with."""

import json

import pytest

from dc_hub import publish, read_pins


@pytest.fixture(autouse=True)
def project(monkeypatch, tmp_path, hub):
    """Work in the directory of a project, with a hub of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(hub.path))


def test_a_project_is_pinned_checked_and_updated(run, models, dataset):
    first = publish(models["Linear"](1.0).fit(dataset), "m").revision
    assert run("lock", "m")[:2] == (0, f"pinned  m  revision {first}\n")
    code, out, _ = run("lock", "--check")
    assert (code, out.split()[-2:]) == (0, ["unchanged:", first[:12]])
    second = publish(models["Linear"](2.0).fit(dataset), "m").revision
    code, out, _ = run("lock", "--check")
    assert code == 1
    assert f"moved: {first[:12]} → {second[:12]}" in out
    code, out, _ = run("lock", "--check", "--json")
    assert code == 1
    assert json.loads(out) == [
        {
            "name": "m",
            "tag": "main",
            "pinned": first,
            "now": second,
            "available": True,
            "unchanged": False,
        }
    ]
    assert run("lock", "--update")[0] == 0
    assert read_pins() == {"m": second}
    assert run("lock", "--check")[0] == 0


def test_what_is_pinned_is_pulled(run, linear):
    revision = publish(linear, "m").revision
    run("lock", "m", "--lock", "other.lock")
    code, out, _ = run("pull", "--lock", "other.lock")
    assert code == 0
    assert out.startswith(f"fetched  m  revision {revision}")


def test_several_models_are_pulled_at_once(run, linear, chain):
    stored = {"m": publish(linear, "m"), "lab/n": publish(chain, "lab/n")}
    code, out, _ = run("pull", "m", "lab/n@main")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[::2]] == [
        ["fetched", "m"],
        ["fetched", "lab/n@main"],
    ]
    code, out, _ = run("pull", "lab/n", "m", "--json")
    assert [one["revision"] for one in json.loads(out)] == [
        stored[name].revision for name in ("lab/n", "m")
    ]
    assert run("pull", "m", "none")[0] == 2
    weights = stored["lab/n"].path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    code, _, err = run("pull", "m", "lab/n")
    assert (code, err.partition(":")[0]) == (2, "HashMismatch")


@pytest.mark.parametrize(
    "arguments",
    [
        ("lock",),
        ("lock", "--check", "--update"),
        ("lock", "--check"),
        ("lock", "none"),
        ("pull",),
        ("pull", "m", "--lock", "dchub.lock"),
    ],
)
def test_wrong_usage_and_missing_files_exit_with_two(run, linear, arguments):
    publish(linear, "m")
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err
    assert "Traceback" not in err

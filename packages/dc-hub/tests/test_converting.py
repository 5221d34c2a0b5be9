"""Files of other programs become models, and a hostile one does nothing."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from dc_core import byte_budget
from dc_core.errors import BudgetExceeded
from dc_core.errors import ConversionError as CoreConversionError
from dc_core.errors import UntrustedFile as CoreUntrustedFile
from dc_hub import convert, from_pretrained, info, load_weights, verify
from dc_hub.converting.naming import left_out, renamed
from dc_hub.converting.recognizing import recognize
from dc_hub.errors import (
    ConversionError,
    FileMissing,
    LimitExceeded,
    ParamsError,
    UntrustedFile,
    WeightsMismatch,
)

torch = pytest.importorskip("torch", reason="needs torch")
converting = pytest.importorskip("dc_torch.converting", reason="needs dc-torch")

nn = torch.nn
FOREIGN = Path(__file__).parent / "data" / "foreign"


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Dropout(0.2), nn.Linear(20, 1))
    return net.eval()


class DeepChemRegressor(nn.Module):
    """Has the layers of DeepChem's MultitaskRegressor, under its names."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(10, 20), nn.Linear(20, 8)])
        self.output_layer = nn.Linear(8, 1)
        self.uncertainty_layer = nn.Linear(8, 1)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.output_layer(x)


@pytest.fixture(scope="module")
def deepchem(tmp_path_factory):
    """A checkpoint as TorchModel.save_checkpoint of DeepChem 2.8 writes it, and its network."""
    torch.manual_seed(0)
    net = DeepChemRegressor()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 10)).sum().backward()
    optimizer.step()
    file = tmp_path_factory.mktemp("deepchem") / "checkpoint1.pt"
    data = {
        "model_state_dict": net.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "global_step": 7,
    }
    torch.save(data, file)
    return file, net


AS_MULTITASK = {
    "cls": "torch/MultitaskRegressor",
    "params": {"n_tasks": 1, "n_features": 10, "layer_sizes": [20, 8]},
    "rename": {"layers.1.": "layers.3.", "output_layer.": "layers.6."},
    "omit": ["uncertainty_layer."],
}


def test_a_deepchem_checkpoint_becomes_a_model_with_the_same_predictions(deepchem, tmp_path):
    file, net = deepchem
    found = convert(file, tmp_path / "model", **AS_MULTITASK)
    assert found.what == "a checkpoint of a DeepChem TorchModel"
    assert found.cls == "torch/MultitaskRegressor"
    X = np.random.default_rng(0).normal(size=(5, 10)).astype(np.float32)
    expected = net(torch.from_numpy(X)).detach().numpy()
    assert np.array_equal(from_pretrained(tmp_path / "model").predict(X), expected)


def test_what_a_model_was_converted_from_is_stored_with_what_was_left_out(deepchem, tmp_path):
    import hashlib

    file, net = deepchem
    found = convert(file, "lab/net", hub=tmp_path / "hub", tag="v1", metadata={"task": "test"})
    stored = info("lab/net@v1", hub=tmp_path / "hub")
    origin = stored.metadata["converted_from"]
    assert stored.cls is None
    assert stored.backend == "torch"
    assert stored.metadata["task"] == "test"
    assert origin["file"] == "checkpoint1.pt"
    assert origin["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest() == found.sha256
    assert origin["read_by"]["torch"] == torch.__version__
    assert origin["facts"] == {"global_step": 7}
    assert set(origin["omitted"]) == set(found.omitted) == {"optimizer_state_dict"}
    verify("lab/net", hub=tmp_path / "hub")
    into = load_weights("lab/net", into=DeepChemRegressor(), hub=tmp_path / "hub")
    for name, tensor in into.state_dict().items():
        assert torch.equal(tensor, net.state_dict()[name])


def test_a_checkpoint_that_does_not_fit_the_class_names_the_weights(deepchem, tmp_path):
    wrong = {**AS_MULTITASK, "rename": {}}
    with pytest.raises(WeightsMismatch, match=r"layers\.6\.weight") as caught:
        convert(deepchem[0], tmp_path / "model", **wrong)
    assert "output_layer.weight" in caught.value.args[0]
    assert not (tmp_path / "model").exists()


def test_a_legacy_state_dict_with_tied_weights_loads_into_the_module(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(7, 4)
            self.norm = nn.BatchNorm1d(4)
            self.head = nn.Linear(4, 7, bias=False)
            self.head.weight = self.embed.weight

    net = Tied().to(torch.bfloat16)
    file = tmp_path / "net.bin"
    torch.save(net.state_dict(), file, _use_new_zipfile_serialization=False)
    found = convert(file, tmp_path / "model")
    assert found.recognized == "a file of torch.save before version 1.6"
    again = load_weights(tmp_path / "model", into=Tied().to(torch.bfloat16))
    assert again.head.weight is again.embed.weight
    for name, tensor in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


class Runs:
    """Unpickles by calling a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_checkpoint_that_runs_a_command_is_refused_and_nothing_runs(tmp_path):
    marker = tmp_path / "ran"
    file, legacy = tmp_path / "evil.pt", tmp_path / "legacy.pt"
    evil = {"weight": Runs(os.system, f"touch {marker}")}
    torch.save(evil, file)
    torch.save(evil, legacy, _use_new_zipfile_serialization=False)
    with pytest.raises(UntrustedFile, match="system") as caught:
        convert(file, tmp_path / "model")
    with pytest.raises(CoreUntrustedFile, match="system"):
        converting.dc_read_file(legacy, False)
    assert isinstance(caught.value, CoreConversionError)
    assert caught.value.path == str(file)
    assert not marker.exists()
    assert not (tmp_path / "model").exists()


def test_a_command_is_refused_even_in_a_trusted_checkpoint(tmp_path):
    marker = tmp_path / "ran"
    torch.save({"weight": Runs(os.system, f"touch {marker}")}, tmp_path / "evil.pt")
    with pytest.raises(ConversionError, match=r"os\.system was refused"):
        convert(tmp_path / "evil.pt", tmp_path / "model", trust=True)
    assert not marker.exists()


def test_a_pickled_module_needs_trust_and_then_gives_its_weights(tmp_path):
    torch.save(network(), tmp_path / "whole.pt")
    with pytest.raises(CoreUntrustedFile, match=r"torch\.nn\.modules\.container\.Sequential"):
        converting.dc_read_file(tmp_path / "whole.pt", False)
    assert convert(tmp_path / "whole.pt", tmp_path / "model", trust=True).weights == 4


def test_a_weight_that_unfolds_into_terabytes_is_a_typed_error(tmp_path):
    torch.save({"weight": torch.ones(1).expand(1 << 40)}, tmp_path / "bomb.pt")
    with pytest.raises(BudgetExceeded, match="weight"), byte_budget(1 << 30):
        converting.dc_read_file(tmp_path / "bomb.pt", False)


def test_a_billion_laughs_in_the_hyper_parameters_is_a_typed_error(tmp_path):
    laughs = ["ha"] * 10
    for _ in range(9):
        laughs = [laughs] * 10
    state = {"hyper_parameters": {"a": laughs}, "state_dict": network().state_dict()}
    torch.save(state, tmp_path / "laughs.ckpt")
    with pytest.raises(CoreConversionError, match="20000 values"):
        converting.dc_read_file(tmp_path / "laughs.ckpt", False)


@pytest.mark.needs("resource limits")
def test_a_zip_bomb_is_a_typed_error(tmp_path):
    plain, bomb = tmp_path / "plain.pt", tmp_path / "bomb.pt"
    torch.save({"weight": torch.zeros(1 << 26)}, plain)
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(bomb, "w") as new:
        for member in archive.infolist():
            new.writestr(member.filename, archive.read(member), zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1 << 19
    with pytest.raises(LimitExceeded, match="memory"):
        convert(bomb, tmp_path / "model", memory=1 << 26)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_a_link_of_any_name_is_followed_because_the_caller_chose_it(deepchem, tmp_path):
    link = tmp_path / os.fsdecode(b"link\xff.pt")
    link.symlink_to(deepchem[0])
    assert convert(link, tmp_path / "model").weights == 8
    assert info(tmp_path / "model").metadata["converted_from"]["file"] == "link\\xff.pt"


def test_reading_that_takes_too_long_is_given_up(deepchem, tmp_path):
    with pytest.raises(LimitExceeded, match=r"more than 0\.05 s"):
        convert(deepchem[0], tmp_path / "model", timeout=0.05)


def test_a_damaged_checkpoint_is_a_typed_error(deepchem, tmp_path):
    whole = deepchem[0].read_bytes()
    for number, damaged in enumerate((whole[:-100], b"PK\x03\x04" + bytes(200))):
        file = tmp_path / f"{number}.pt"
        file.write_bytes(damaged)
        with pytest.raises(CoreConversionError, match="damaged"):
            recognize(file)


def test_a_checkpoint_of_chemprop_keeps_its_hyper_parameters_without_importing_its_classes():
    found = converting.dc_read_file(FOREIGN / "chemprop-2.3.1.pt", False)
    assert "chemprop" not in sys.modules
    assert found.what == "a checkpoint of Chemprop 2"
    assert found.omitted == {}
    parameters = found.facts["hyper_parameters"]
    assert parameters["message_passing"]["cls"] == (
        "chemprop.nn.message_passing.base.BondMessagePassing"
    )
    assert parameters["message_passing"]["d_h"] == 8
    assert parameters["message_passing"]["activation"]["arguments"] == ["relu"]
    assert found.facts["output_columns"] == ["logS"]
    assert found.weights["message_passing.W_h.weight"].shape == (8, 8)
    assert found.weights["bn.num_batches_tracked"].dtype == np.int64


@pytest.mark.parametrize("name", ["xgboost-3.2.0.json", "xgboost-3.2.0.ubj", "lightgbm-4.7.0.txt"])
def test_boosted_trees_are_recognized_by_their_content(name, tmp_path):
    disguised = tmp_path / "model.pt"
    disguised.write_bytes((FOREIGN / name).read_bytes())
    found = recognize(disguised)
    assert found.kind == name.partition("-")[0]
    assert found.what.startswith("a model of ")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no kind"),
        (b"hello", "no kind"),
        (b"binf" + bytes(100) + b"gbtree", "XGBoost"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    ],
    ids=["empty", "text", "xgboost-binary", "hdf5"],
)
def test_what_cannot_be_converted_is_said_with_the_reason(data, message, tmp_path):
    file = tmp_path / "model"
    file.write_bytes(data)
    with pytest.raises(CoreConversionError, match=message) as caught:
        recognize(file)
    assert caught.value.hint


def test_names_are_changed_by_the_longest_rule_and_each_rule_has_to_apply():
    names = ["net.a.weight", "net.b.weight", "scale"]
    found = renamed(names, {"net.": "", "net.b.": "c.", "scale": "shift"})
    assert found == {"net.a.weight": "a.weight", "net.b.weight": "c.weight", "scale": "shift"}
    assert left_out(names, ["net.b.", "scale"]) == ["net.b.weight", "scale"]
    for wrong in ({"nett.": ""}, {"net.a.": "net.b."}, {"scale": ""}):
        with pytest.raises(CoreConversionError):
            renamed(names, wrong)
    with pytest.raises(CoreConversionError, match="omit names 'scal'"):
        left_out(names, ["scal"])


def test_arguments_that_contradict_each_other_are_refused_before_the_file_is_read(tmp_path):
    for options in (
        {"where": "net@v1"},
        {"where": tmp_path / "x", "tag": "v1"},
        {"where": tmp_path / "x", "params": {}},
        {"where": tmp_path / "x", "omit": "abc"},
        {"where": tmp_path / "x", "rename": "abc"},
        {"where": tmp_path / "x", "memory": -1},
        *({"where": tmp_path / "x", "timeout": seconds} for seconds in (0, -1, nan, inf, "1")),
    ):
        with pytest.raises(ParamsError):
            convert(tmp_path / "missing.pt", **options)
    with pytest.raises(FileMissing):
        convert(tmp_path / "missing.pt", tmp_path / "x")


def test_the_command_converts_and_says_what_it_recognized_and_left_out(run, deepchem, tmp_path):
    params = json.dumps({"n_tasks": 1, "n_features": 10, "layer_sizes": {"$tuple": [20, 8]}})
    code, out, err = run(
        *("convert", deepchem[0], "-o", tmp_path / "model", "--params", params),
        *("--class", "torch/MultitaskRegressor"),
        *("--rename", "layers.1.=layers.3.", "--rename", "output_layer.=layers.6."),
        *("--omit", "uncertainty_layer."),
    )
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    assert "a checkpoint of a DeepChem TorchModel" in words
    assert "left out: optimizer_state_dict" in words
    assert info(tmp_path / "model").params["layer_sizes"] == {"$tuple": [20, 8]}
    code, out, err = run("convert", deepchem[0], "--publish", "x", "--omit", "layers.", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["weights"] == 4
    assert "model/output_layer/0" in info("x").weights
    assert run("convert", deepchem[0])[0] == 2
    assert run("convert", deepchem[0], "-o", "x", "--publish", "y")[0] == 2
    assert "OLD=NEW" in run("convert", deepchem[0], "-o", "x", "--rename", "a")[2]

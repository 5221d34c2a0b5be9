"""Models of Hugging Face's transformers are stored as a class's name and a config."""

import socket

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import NumpyDataset, Ragged, byte_budget, plugins, registry
from dc_core.errors import (
    BudgetExceeded,
    DatasetError,
    NotSerializable,
    ParameterError,
    UnknownClass,
    UnknownParameter,
)
from dc_torch import RaggedTensor, TorchModel, TransformersModule

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

TOKENS = {"vocab_size": 50, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
BERT = {
    **TOKENS,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
GPT2 = {**TOKENS, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40}
T5 = {**TOKENS, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
MODELS = {
    "BertForSequenceClassification": ("BertConfig", BERT),
    "BertForMaskedLM": ("BertConfig", BERT),
    "RobertaForSequenceClassification": ("RobertaConfig", {**BERT, "num_labels": 3}),
    "DebertaV2Model": ("DebertaV2Config", {**BERT, "position_buckets": 8, "share_att_key": True}),
    "EsmModel": ("EsmConfig", {**BERT, "position_embedding_type": "rotary", "mask_token_id": 4}),
    "GPT2LMHeadModel": ("GPT2Config", GPT2),
    "LlamaForCausalLM": ("LlamaConfig", {**BERT, "num_key_value_heads": 1}),
    "ModernBertModel": ("ModernBertConfig", {**BERT, "cls_token_id": 1, "sep_token_id": 2}),
    "T5EncoderModel": ("T5Config", T5),
    "T5ForSequenceClassification": ("T5Config", {**T5, "decoder_start_token_id": 0}),
}


def make(name, seed=0, **changed):
    config, options = MODELS[name]
    torch.manual_seed(seed)
    made = getattr(transformers, name)(getattr(transformers, config)(**{**options, **changed}))
    return made.eval()


def bert(**changed):
    return make("BertForSequenceClassification", **changed)


def stored(model):
    described = registry.describe(model)
    return described.name, described.params


def build(name, params):
    return plugins.backend("torch").build_component(name, params)


def restored(model):
    backend, (name, params) = plugins.backend("torch"), stored(model)
    again = backend.skeleton(lambda: backend.build_component(name, params))
    assert all(parameter.is_meta for parameter in again.parameters())
    return plugins.claim(again).import_weights(plugins.claim(model).export_weights(), copy=False)


def changed(params, **fields):
    return {**params, "config": {**params["config"], **fields}}


def outputs(model):
    with torch.no_grad():
        ids = torch.arange(3, 21).reshape(2, 9)
        ids[:, -1] = 2
        found = model(ids, return_dict=True)
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def sequences(n=60):
    rng = np.random.default_rng(0)
    rows = [rng.integers(3, 50, rng.integers(2, 12)).astype(np.uint16) for _ in range(n)]
    return rows, np.array([[np.mean(row) / 50] for row in rows])


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("something was to be downloaded")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_rebuilt_from_its_config_and_predicts_bit_for_bit(name):
    model = make(name)
    again = restored(model)
    expected, found = outputs(model), outputs(again)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[field], found[field]) for field in expected)
    assert stored(again) == stored(model)


def test_a_model_without_a_skeleton_is_initialised():
    torch.manual_seed(1)
    model = build(*stored(bert()))
    assert model.classifier.weight.std() > 0
    assert torch.equal(model.bert.embeddings.LayerNorm.weight, torch.ones(16))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_implementation_of_attention_is_kept(attention):
    model = bert(attn_implementation=attention)
    assert restored(model).config._attn_implementation == attention


def test_the_dtype_and_what_is_frozen_are_kept():
    model = bert().to(torch.bfloat16)
    model.bert.embeddings.requires_grad_(False)
    again = restored(model)
    assert {p.dtype for p in again.parameters()} == {torch.bfloat16}
    assert [p.requires_grad for p in again.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]


def test_tied_weights_stay_tied():
    again = restored(make("GPT2LMHeadModel"))
    assert again.lm_head.weight is again.transformer.wte.weight


def test_weights_that_are_not_tied_stay_apart():
    model = make("GPT2LMHeadModel", tie_word_embeddings=False)
    again = restored(model)
    assert again.lm_head.weight is not again.transformer.wte.weight


def drop(model):
    model.bert.encoder.layer[0].output.dropout.p = 0.5


def replace(model):
    model.classifier = nn.Sequential(model.classifier)


def hook(model):
    model.classifier.register_forward_hook(lambda *_: None)


def override(model):
    model.forward = lambda *_: None


def untie(model):
    model.cls.predictions.decoder.weight = nn.Parameter(torch.ones(50, 16))


def move(model):
    model.bert.embeddings.position_ids += 1


CHANGES = {
    "dropout": (bert, drop, r"layer\.0\.output\.dropout has 'p'"),
    "replaced": (bert, replace, "classifier has its class"),
    "hook": (bert, hook, "classifier has a hook"),
    "forward": (bert, override, "forward of its own"),
    "untied": (lambda: make("BertForMaskedLM"), untie, "the weight"),
    "buffer": (bert, move, "the buffer 'position_ids'"),
    "attribute": (bert, lambda m: setattr(m.config, "flavour", "x"), "'flavour' in its config"),
    "quantized": (
        bert,
        lambda m: setattr(m.config, "quantization_config", {"quant_method": "x"}),
        "'quantization_config' in its config",
    ),
    "kernel": (
        bert,
        lambda m: setattr(m.config, "_attn_implementation_internal", "them/kernel"),
        "attention implementation 'them/kernel'",
    ),
    "dtypes": (bert, lambda m: m.classifier.double(), "several dtypes"),
}


@pytest.mark.parametrize(("create", "change", "message"), CHANGES.values(), ids=CHANGES)
def test_what_the_config_does_not_say_is_refused_by_name(create, change, message):
    model = create()
    change(model)
    with pytest.raises(NotSerializable, match=message):
        registry.describe(model)


def test_a_subclass_of_a_model_has_no_stored_form():
    class Own(transformers.BertModel):
        pass

    assert registry.describe(Own(transformers.BertConfig(**BERT))) is None


def test_remote_code_that_a_config_names_is_not_stored():
    model = bert(auto_map={"AutoModel": "them/evil--code.Model"}, name_or_path="them/evil")
    assert "evil" not in repr(stored(model))
    assert "evil" not in repr(restored(model).config)


@pytest.mark.parametrize(
    "name",
    [
        *("AutoModel", "PreTrainedModel", "Trainer", "BertConfig", "BertTokenizer", "pipeline"),
        *("TimmBackbone", "TimmWrapperModel", "MambaModel", "RagModel", "EncoderDecoderModel"),
        *("EsmForProteinFolding", "dynamic_module_utils", "models", "__class__", "", "BertModel.x"),
        "models.bert.modeling_bert.BertModel",
    ],
)
def test_only_models_of_the_closed_rule_are_built(name):
    with pytest.raises(UnknownClass):
        build(f"torch/transformers.{name}", {"config": {}, "attention": "sdpa"})


HOSTILE_FIELDS = {
    "trust_remote_code": True,
    "auto_map": {"AutoModel": "them/evil--code.Model"},
    "_name_or_path": "them/evil",
    "name_or_path": "them/evil",
    "attn_implementation": "them/kernel",
    "_attn_implementation": "them/kernel",
    "_attn_implementation_internal": "them/kernel",
    "experts_implementation": "them/kernel",
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "kernel_config": {},
    "backbone": "them/evil",
    "use_pretrained_backbone": True,
    "per_layer_config": {"0": {"hidden_size": 3}},
    "text_config": {"model_type": "mamba"},
    "architectures": ["Evil"],
    "transformers_version": "1",
    "dtype": "float16",
    "torch_dtype": "float16",
    "num_labels": 2**40,
    "__class__": "x",
    "sub_configs": {},
    "attribute_map": {"hidden_size": "__dict__"},
    "__post_init__": 1,
    "": 1,
}


@pytest.mark.parametrize("field", HOSTILE_FIELDS)
def test_a_config_from_a_file_has_declared_fields_only(field):
    name, params = stored(bert())
    with pytest.raises(UnknownParameter):
        build(name, changed(params, **{field: HOSTILE_FIELDS[field]}))


HOSTILE_VALUES = [
    *({"hidden_size": value} for value in (0, -1, 2**70, 1.5, "x", None, True, [16], {}, (), b"")),
    *({"num_hidden_layers": value} for value in (2**30, -(2**30), 10**9, [1], "two")),
    *({"vocab_size": value} for value in (2**40, -(2**40), None)),
    *({"hidden_act": value} for value in ("os.system", "\x1b[2J", "__class__", 3, None, ["gelu"])),
    *({"id2label": value} for value in ({"a": "b"}, {"0": "\x1b]0;x\x07"}, {"0": {"0": "x"}}, [1])),
    *({"layer_norm_eps": value} for value in (float("nan"), float("inf"), "x")),
    {"hidden_dropout_prob": 7.0},
    {"num_attention_heads": 3},
    {"hidden_size": {"model_type": "bert"}},
    {"hidden_size": nn.Linear(1, 1)},
]


@pytest.mark.parametrize("fields", HOSTILE_VALUES, ids=repr)
def test_a_hostile_value_in_a_config_is_a_typed_error(fields):
    name, params = stored(bert())
    with pytest.raises(ParameterError):
        build(name, changed(params, **fields))


@pytest.mark.parametrize(
    "parameters",
    [
        {"attention": "them/kernel"},
        {"attention": "flash_attention_2"},
        {"attention": None},
        {"attention": {"": "them/kernel"}},
        {"attention": ["sdpa"]},
        {"dtype": "int8"},
        {"dtype": "nn"},
        {"dtype": ["float16"]},
        {"frozen": "classifier.weight"},
        {"frozen": ["nothing"]},
        {"frozen": [["x"]]},
        {"config": None},
        {"config": [1]},
        {"trust_remote_code": True},
        {"pretrained_model_name_or_path": "them/evil"},
        {"kwargs": {}},
    ],
    ids=repr,
)
def test_a_hostile_parameter_is_a_typed_error(parameters):
    name, params = stored(bert())
    with pytest.raises(ParameterError):
        build(name, {**params, **parameters})


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (bert, {"num_hidden_layers": 10_000}),
        (bert, {"hidden_size": 2**24, "num_attention_heads": 1}),
        (bert, {"vocab_size": 2**24}),
        (bert, {"max_position_embeddings": 2**24}),
        (lambda: make("GPT2LMHeadModel"), {"n_positions": 2**24}),
        (lambda: make("LlamaForCausalLM"), {"num_hidden_layers": 10_000}),
    ],
)
def test_a_small_file_cannot_ask_for_a_large_model(model, fields):
    name, params = stored(model())
    backend = plugins.backend("torch")
    with byte_budget(64 << 20), pytest.raises(BudgetExceeded):
        backend.skeleton(lambda: backend.build_component(name, changed(params, **fields)))


def test_building_leaves_the_random_numbers_and_the_initialisers_alone():
    model = bert()
    before = torch.get_rng_state()
    restored(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert nn.init.ones_(torch.zeros(2)).tolist() == [1, 1]
    assert nn.Linear(3, 3).weight.std() > 0


def test_a_classifier_learns_from_ragged_tokens():
    rows, y = sequences()
    dataset = NumpyDataset({"input_ids": Ragged.from_rows(rows)}, y)
    net = TransformersModule(bert(num_labels=1))
    model = TorchModel(net, epochs=5, learning_rate=1e-3, batch_size=16, device="cpu")
    model.fit(dataset, progress=False)
    assert model.history[-1].loss < 0.7 * model.history[0].loss
    assert model.predict(dataset).shape == (60, 1)
    assert "cannot be stored" not in repr(model)
    assert registry.describe(net).name == "torch/TransformersModule"


def test_padding_does_not_change_a_prediction():
    rows, y = sequences()
    module = TransformersModule(bert(num_labels=1))
    alone = TorchModel(module, batch_size=1, device="cpu")
    together = TorchModel(module, batch_size=60, device="cpu")
    dataset = NumpyDataset(Ragged.from_rows(rows), y)
    np.testing.assert_allclose(alone.predict(dataset), together.predict(dataset), atol=1e-5)


def test_dense_token_numbers_are_the_input_ids():
    ids = np.arange(3, 21).reshape(2, 9)
    net = bert(num_labels=1)
    with torch.no_grad():
        expected = net(torch.from_numpy(ids)).logits.numpy()
    assert np.array_equal(TorchModel(TransformersModule(net), device="cpu").predict(ids), expected)


def test_the_field_that_is_the_prediction_can_be_chosen():
    net = TransformersModule(make("EsmModel"), output="pooler_output")
    ragged = RaggedTensor(torch.arange(3, 10), torch.tensor([0, 3, 7]))
    assert net(ragged).shape == (2, 16)
    with pytest.raises(ParameterError, match="It has last_hidden_state, pooler_output"):
        TransformersModule(make("EsmModel"))(ragged)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (Ragged.from_rows([[3, 4], []]), "row 1 of a batch has no tokens"),
        (Ragged.from_rows([[3, 4], [50]]), "number 50; those of the model are 0 to 49"),
        (np.array([[3.0, -1.0]]), "number -1;"),
        (
            {
                "input_ids": Ragged.from_rows([[3, 4]]),
                "token_type_ids": Ragged.from_rows([[0, 0, 1]]),
            },
            "rows of different lengths",
        ),
    ],
)
def test_tokens_that_the_model_cannot_take_are_a_typed_error(X, message):
    model = TorchModel(TransformersModule(bert(num_labels=1)), device="cpu")
    with pytest.raises(DatasetError, match=message):
        model.predict(NumpyDataset(X))


def test_token_numbers_are_never_rounded():
    module = TransformersModule(bert(num_labels=1))
    with pytest.raises(DatasetError, match="bfloat16, which is not exact"):
        TorchModel(module, input_dtype="bfloat16", device="cpu").predict(np.array([[3.0, 4.0]]))


def test_what_is_not_a_model_with_a_config_is_refused():
    with pytest.raises(ParameterError, match="not a Linear"):
        TransformersModule(nn.Linear(2, 2))
    with pytest.raises(ParameterError, match="name of a field"):
        TransformersModule(bert(), output=3)

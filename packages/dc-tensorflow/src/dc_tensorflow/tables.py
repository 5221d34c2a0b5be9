"""The closed table of the classes of Keras that stored models may name, and bounds on numbers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

from dc_tensorflow.frameworks import keras

_LAYERS: Final = """
    InputLayer Dense EinsumDense Embedding Identity Activation Masking Normalization Rescaling
    Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose
    DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D
    MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    BatchNormalization LayerNormalization GroupNormalization UnitNormalization RMSNormalization
    SpectralNormalization
    Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D AlphaDropout GaussianDropout
    GaussianNoise ActivityRegularization
    ReLU LeakyReLU PReLU ELU Softmax
    Flatten Reshape Permute RepeatVector Cropping1D Cropping2D Cropping3D
    UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    Add Subtract Multiply Average Maximum Minimum Concatenate Dot
    Attention AdditiveAttention MultiHeadAttention GroupQueryAttention
    SimpleRNN LSTM GRU SimpleRNNCell LSTMCell GRUCell RNN StackedRNNCells
    Bidirectional TimeDistributed
"""
_INITIALIZERS: Final = """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Ones Orthogonal
    RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
"""
_OPERATIONS: Final[Mapping[str, str]] = {
    "keras.src.ops.numpy": "Absolute Add Clip Divide Exp ExpandDims GetItem Log Matmul Max Maximum "
    "Mean Min Minimum Multiply Negative Power Sqrt Square Squeeze Subtract Sum Tanh Transpose "
    "TrueDivide",
    "keras.src.ops.nn": "Elu Gelu LeakyRelu LogSoftmax Relu Relu6 Selu Sigmoid Silu Softmax "
    "Softplus",
}
"""The operations on tensors of functional models, by the modules that define them."""


def _classes() -> dict[str, type[Any]]:
    made: dict[str, type[Any]] = {
        "layers/Sequential": keras.Sequential,
        "layers/Functional": importlib.import_module("keras.src.models.functional").Functional,
    }
    for group, module, names in (
        ("layers", keras.layers, _LAYERS),
        ("initializers", keras.initializers, _INITIALIZERS),
        ("regularizers", keras.regularizers, "L1 L1L2 L2 OrthogonalRegularizer"),
        ("constraints", keras.constraints, "MaxNorm MinMaxNorm NonNeg UnitNorm"),
    ):
        for name in names.split():
            cls = getattr(module, name, None)
            if isinstance(cls, type):  # this version of Keras has it
                made[f"{group}/{name}"] = cls
    for path, names in _OPERATIONS.items():
        found = importlib.import_module(path)
        for name in names.split():
            if isinstance(getattr(found, name, None), type):
                made[f"operations/{name}"] = getattr(found, name)
    return made


CLASSES: Final[Mapping[str, type[Any]]] = _classes()
"""The classes by stored name; those that this version of Keras lacks are left out."""

POLICIES: Final = frozenset(
    {
        *("bfloat16", "float16", "float32", "float64", "mixed_bfloat16", "mixed_float16"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"),
    }
)
"""The dtypes and dtype policies that layers may have."""

_GROUPS: Final = ("layers", "initializers", "regularizers", "constraints", "operations")

_MAX_INTEGER: Final = (1 << 31) - 1
_MAX_EXTENTS: Final = {"1D": 4096, "2D": 256, "3D": 32}
_EXTENTS: Final = frozenset({"cropping", "dilation_rate", "output_padding", "padding", "size"})
_MAX_REPEATS: Final = 4096


def module_of(module: str | None, name: str) -> str | None:
    """Return the stored name of a class that Keras serializes as ``name`` of ``module``."""
    if module is None or not (module == "keras" or module.startswith("keras.")):
        return None
    if name in ("Sequential", "Functional"):
        return f"layers/{name}"
    if module.startswith("keras.src.ops."):
        found = f"operations/{name}"
        return found if found in CLASSES and name in _OPERATIONS.get(module, "").split() else None
    group = module.removeprefix("keras.").partition(".")[0]
    found = f"{group}/{name}"
    return found if group in _GROUPS and found in CLASSES else None


def maximum(layer: str, parameter: str) -> int:
    """Return how large a number may be as that parameter of a layer.

    Outputs that are large without any weight would let a small file ask for terabytes.
    """
    if parameter in _EXTENTS:
        axes = next((a for a in _MAX_EXTENTS if a in layer), "2D")
        return _MAX_EXTENTS[axes]
    return _MAX_REPEATS if (layer, parameter) == ("RepeatVector", "n") else _MAX_INTEGER

"""Run modules through ``torch.compile``."""

from __future__ import annotations

import sys
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import nn

CompileMode: TypeAlias = Literal[
    "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"
]

MODES: Final = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
"""What ``torch.compile`` calls its modes; the second and the third use CUDA graphs."""


def compiled(module: nn.Module, choice: bool | CompileMode) -> nn.Module:
    """Return ``module`` such that it runs compiled, or the module itself if ``choice`` is False.

    It is compiled when it first runs. Importing the compiler takes seconds.
    """
    if choice is False:
        return module
    run: Any = torch.compile(module, mode=None if choice is True else choice)
    wrapped: nn.Module = run
    return wrapped


def begin_step(choice: bool | CompileMode) -> None:
    """Let CUDA graphs use the memory of the step before again."""
    if choice is not False:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]


def is_of_compiler(error: BaseException) -> bool:
    """Return whether the compiler raised ``error``, and not the module that it compiles."""
    known = sys.modules.get("torch._dynamo.exc")
    return (
        known is not None
        and isinstance(error, known.TorchDynamoException)
        and not isinstance(error, known.TorchRuntimeError)
    )

"""``TransformersModule``: a model of ``transformers`` that predicts from columns of tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dc_core import register_component
from dc_core.errors import DatasetError, ParameterError
from dc_torch.batches import RaggedTensor


@register_component("torch/TransformersModule")
class TransformersModule(nn.Module):
    """Calls ``model`` with the columns of X, and returns one field of its output.

    Columns are passed by name: ``input_ids``, ``token_type_ids``, …; X that is one column is
    ``input_ids``. A ragged column is padded to the longest row of its batch, ``input_ids`` with the
    config's ``pad_token_id`` (0 if that is None) and others with 0, and ``attention_mask`` says
    what is padding. Rows may therefore differ in the last bits from one batch to another. Columns
    that are dense are passed as they are.

    ``output`` is the field that is the prediction: ``logits``, ``pooler_output``,
    ``last_hidden_state``.

    Raises :class:`ParameterError` if ``model`` is not a module with a config.
    """

    def __init__(self, model: nn.Module, output: str = "logits") -> None:
        super().__init__()
        is_module: bool = isinstance(model, nn.Module)
        if not is_module or not hasattr(model, "config"):
            raise ParameterError(
                f"TransformersModule takes a model of transformers, not a {type(model).__name__}.",
                hint="Make one of a config: BertForSequenceClassification(BertConfig(...)).",
            )
        if not isinstance(output, str):
            raise ParameterError(
                f"output={output!r} must be the name of a field of the model's output."
            )
        self.model = model
        self.output = output

    def forward(
        self, input_ids: Tensor | RaggedTensor | None = None, **columns: Tensor | RaggedTensor
    ) -> Tensor:
        """Return the field ``output`` of the model's output, ``(b, ...)``.

        Raises :class:`DatasetError` for a row without tokens and for numbers outside the
        vocabulary, and :class:`ParameterError` if there is no such field.
        """
        given = {**columns} if input_ids is None else {"input_ids": input_ids, **columns}
        inputs = {name: self._dense(name, column) for name, column in given.items()}
        lengths = [torch.diff(c.offsets) for c in given.values() if isinstance(c, RaggedTensor)]
        if lengths:
            if not all(torch.equal(lengths[0], other) for other in lengths[1:]):
                raise DatasetError(
                    f"The ragged columns {', '.join(given)} have rows of different lengths.",
                    hint="Each of them has one value for each token.",
                )
            places = torch.arange(int(lengths[0].max()), device=lengths[0].device)
            inputs.setdefault("attention_mask", (places < lengths[0][:, None]).long())
        result = self.model(**inputs, return_dict=True)
        found = getattr(result, self.output, None)
        if not isinstance(found, Tensor):
            raise ParameterError(
                f"The output of the {type(self.model).__name__} has no tensor {self.output!r}.",
                hint=f"It has {', '.join(result)}: TransformersModule(model, output='…').",
            )
        return found

    def _dense(self, name: str, column: Tensor | RaggedTensor) -> Tensor:
        if isinstance(column, RaggedTensor):
            values, offsets = column
            values = self._tokens(values) if name == "input_ids" else values
            return _padded(values, offsets, self._padding() if name == "input_ids" else 0)
        return self._tokens(column) if name == "input_ids" else column

    def _padding(self) -> int:
        number: Any = getattr(self.model.config, "pad_token_id", None)
        return number if isinstance(number, int) else 0

    def _tokens(self, values: Tensor) -> Tensor:
        """Return token numbers as int64; X that is one dense array comes as floats."""
        if values.is_floating_point() and values.dtype not in (torch.float32, torch.float64):
            raise DatasetError(
                f"Token numbers were given as {str(values.dtype).removeprefix('torch.')}, which is "
                "not exact.",
                hint="Pass them as a ragged column, or set input_dtype='float32'.",
            )
        vocabulary: Any = getattr(self.model.config, "vocab_size", None)
        tokens = values.long()
        if tokens.numel() and isinstance(vocabulary, int):
            # On a GPU, an embedding that is asked for another number ends the process's use of it.
            low, high = torch.stack((tokens.min(), tokens.max())).tolist()
            if low < 0 or high >= vocabulary:
                raise DatasetError(
                    f"A token has the number {low if low < 0 else high}; those of the model are 0 "
                    f"to {vocabulary - 1}.",
                    hint="Tokenize the data with the vocabulary that the model was made for.",
                )
        return tokens


def _padded(values: Tensor, offsets: Tensor, padding: int) -> Tensor:
    """Return the ragged rows as one tensor ``(b, longest, ...)``."""
    lengths = torch.diff(offsets)
    shortest, longest = torch.stack((lengths.min(), lengths.max())).tolist()
    if shortest == 0:
        raise DatasetError(
            f"The row {int(lengths.argmin())} of a batch has no tokens.",
            hint="Leave out empty rows, or begin each row with a token that every row has.",
        )
    dense = values.new_full((len(lengths), longest, *values.shape[1:]), padding)
    dense[torch.arange(longest, device=values.device) < lengths[:, None]] = values
    return dense

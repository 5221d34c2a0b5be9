"""``SequenceGenerator``: a recurrent network that writes sequences token by token.

It is the language model of Segler, Kogej, Tyrchan and Waller 2018
(doi:10.1021/acscentsci.7b00512): the network reads the tokens up to a place, and gives the
probabilities of the next one. Sampling draws from them until the end token.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final, Literal, Self, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dc_core import (
    Batch,
    Dataset,
    Generator,
    MappedDataset,
    NumpyDataset,
    Ragged,
    check_count,
    check_dataset,
    check_number,
    check_positive,
    plain,
)
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_core.training import Callback, Validation
from dc_torch.batches import RaggedTensor
from dc_torch.errors import TorchError
from dc_torch.inference import evaluating, outputs
from dc_torch.rng import isolated_rng, seed_rng
from dc_torch.trained import TrainedModule
from dc_torch.training_config import TrainingConfig, TrainingOptions

_MAX_SIZE: Final = 1 << 16
_MAX_LAYERS: Final = 16
_SAMPLED_TOGETHER: Final = 512
"""Sequences that are written side by side."""


class RecurrentNetwork(nn.Module):
    """Embedding, gated recurrent units (GRU) and a linear layer: from tokens to the next ones.

    Cho and others 2014, doi:10.3115/v1/D14-1179.
    """

    def __init__(
        self,
        n_tokens: int,
        embedding_size: int,
        hidden_size: int,
        n_layers: int,
        dropout: float,
        max_length: int,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, embedding_size)
        between = dropout if n_layers > 1 else 0.0
        self.recurrent = nn.GRU(
            embedding_size, hidden_size, n_layers, batch_first=True, dropout=between
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, n_tokens)
        self.max_length = max_length

    def forward(self, sequences: RaggedTensor) -> Tensor:
        """Return the logits of the token after each token but the last of each sequence.

        The shape is ``(b, max_length, n_tokens)``; places after the end of a sequence are 0.
        """
        padded, given = _padded(sequences)
        hidden, _ = self.recurrent(self.embedding(padded[:, :-1]))
        used = given[:, 1:]
        logits: Tensor = self.output(self.dropout(hidden[used]))
        whole = logits.new_zeros((len(padded), self.max_length, logits.shape[-1]))
        whole[:, : used.shape[1]][used] = logits
        return whole

    def step(self, tokens: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the logits ``(b, n_tokens)`` of what follows ``tokens`` ``(b,)``, and the state.

        ``state`` is what the step before returned.
        """
        hidden, state = self.recurrent(self.embedding(tokens[:, None]), state)
        return self.output(hidden[:, 0]), state


def _padded(sequences: RaggedTensor) -> tuple[Tensor, Tensor]:
    """Return the tokens ``(b, longest)``, padded with 0, and where there are tokens."""
    lengths = torch.diff(sequences.offsets)
    places = torch.arange(int(lengths.max()), device=lengths.device)
    given = places < lengths[:, None]
    padded = torch.zeros(given.shape, dtype=torch.int64, device=lengths.device)
    padded[given] = sequences.values.long()
    return padded, given


class SequenceGenerator(TrainedModule, Generator):
    """Generates sequences of tokens like those that it was trained on.

    X is a ragged column of token numbers below ``n_tokens``. Each row begins with the token
    ``start`` and ends with the token ``end``, which are nowhere else. At most ``max_length`` tokens
    are written after the start. The defaults are those of ``dc_pipeline.SmilesTokens``, whose
    ``size`` is ``n_tokens``; a ``dc_pipeline.GeneratorPipeline`` of both generates SMILES.

    ``options`` are those of :class:`TrainingConfig`, with 20 epochs, a batch size of 128, a
    learning rate of 0.002 that falls along a cosine and gradients of norm 1 at most by default.
    The loss is the cross entropy per token.

    Raises :class:`ParameterError` for values that cannot be used.
    """

    def __init__(
        self,
        n_tokens: int,
        *,
        start: int = 2,
        end: int = 3,
        embedding_size: int = 64,
        hidden_size: int = 256,
        n_layers: int = 1,
        dropout: float = 0.0,
        max_length: int = 128,
        **options: Unpack[TrainingOptions],
    ) -> None:
        given = {
            "n_tokens": n_tokens,
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "max_length": max_length,
        }
        sizes = {
            name: check_count(name, plain(value), minimum=1, maximum=_MAX_SIZE)
            for name, value in given.items()
        }
        self.n_tokens, self.max_length = sizes["n_tokens"], sizes["max_length"]
        self.start, self.end = (
            check_count(name, plain(token), minimum=0, maximum=self.n_tokens - 1)
            for name, token in (("start", start), ("end", end))
        )
        if self.start == self.end:
            raise ParameterError(f"The tokens start and end are both {self.start}.")
        layers = check_count("n_layers", plain(n_layers), minimum=1, maximum=_MAX_LAYERS)
        rate = check_number("dropout", dropout, minimum=0, below=1)
        defaults: TrainingOptions = {
            "loss": "cross_entropy",
            "batch_size": 128,
            "epochs": 20,
            "learning_rate": 2e-3,
            "schedule": "cosine",
            "gradient_clip": 1.0,
        }
        config = TrainingConfig.of({**defaults, **options})
        if config.loss != "cross_entropy":
            raise ParameterError(f"A generator's loss is 'cross_entropy', not {config.loss!r}.")
        if config.class_weight is not None:
            raise ParameterError("class_weight is for classifiers: tokens are not weighted.")
        with isolated_rng():
            seed_rng(config.seed)
            network = RecurrentNetwork(
                self.n_tokens,
                sizes["embedding_size"],
                sizes["hidden_size"],
                layers,
                float(rate),
                self.max_length,
            )
        super().__init__(network, config)

    def get_parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments, NumPy's numbers as Python's."""
        return {name: plain(value) for name, value in super().get_parameters().items()}

    def fit(
        self,
        dataset: Dataset,
        *,
        valid: Dataset | None = None,
        epochs: int | None = None,
        callbacks: Iterable[Callback] = (),
        progress: bool | None = None,
        resume: bool | Literal["auto"] = False,
    ) -> Self:
        """Train on the sequences in X and return the model itself; labels and weights are not used.

        Of a sequence with more than ``max_length`` tokens after the start, the rest is not learned.
        The arguments, and what happens in a second call, are as in :meth:`TorchModel.fit`: training
        continues, which is how a generator is fine-tuned.

        Raises :class:`EmptyDataset`; :class:`DatasetError` if X is not such sequences; and the
        other errors of :meth:`TorchModel.fit`.
        """
        self._check_values()
        train = self._with_next_tokens(dataset)
        others = None if valid is None else self._with_next_tokens(valid)
        validation = Validation.of(self.config, train, others, ())
        self._fit(train, validation, epochs, callbacks, progress, resume)
        return self

    def sample(
        self, n: int, seed: int, *, temperature: float = 1.0, top_k: int | None = None
    ) -> Dataset:
        """Return ``n`` new sequences as a ragged column of uint16; equal seeds give equal ones.

        Rows have the form of the training rows. One that would get longer than ``max_length`` is
        cut, and has no end token.

        Logits are divided by ``temperature``: below 1 the sequences get more typical and less
        diverse. With ``top_k``, only the ``top_k`` most probable tokens are drawn at each place.

        Raises :class:`ParameterError` for values that cannot be used, and :class:`TorchError` if
        the weights give no probabilities.
        """
        n = check_count("n", n, minimum=0)
        seed = check_count("seed", seed, minimum=0, maximum=2**63 - 1)
        if top_k is not None:
            top_k = min(self.n_tokens, check_count("top_k", top_k, minimum=1))
        check_positive("temperature", plain(temperature))
        self._check_values()
        device = self.config.resolve_device()
        module = self.module.to(device)
        rows: list[np.ndarray] = []
        with evaluating(module):
            for i, first in enumerate(range(0, n, _SAMPLED_TOGETHER)):
                size = min(_SAMPLED_TOGETHER, n - first)
                draws = np.random.default_rng([seed, i])
                rows += self._written(module, size, draws, float(temperature), top_k, device)
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        values = np.concatenate([np.zeros(0, np.uint16), *rows])
        return NumpyDataset(Ragged(values, offsets))

    def log_likelihood(self, dataset: Dataset) -> np.ndarray:
        """Return the logarithm of the probability of each sequence, ``(n,)`` of float64.

        It is that of drawing the sequence at temperature 1, the end token included.

        Raises :class:`EmptyDataset`, and :class:`DatasetError` as in :meth:`fit` and for sequences
        of more than ``max_length`` tokens, which are never drawn.
        """
        self._check_values()
        rows = self._with_next_tokens(dataset, whole=True)
        if len(rows) == 0:
            raise EmptyDataset("There is no sequence.")
        device = self.config.resolve_device()
        module = self.module.to(device)
        found = []
        with evaluating(module):
            for batch, logits in outputs(module, self.config, device, rows, ("X", "y", "w")):
                logits = logits.double().cpu()
                logits[..., self.start] = -torch.inf  # it is never drawn
                chances = functional.log_softmax(logits, dim=-1)
                labels = torch.from_numpy(np.nan_to_num(batch.y)).long()
                each = chances.gather(-1, labels[..., None])[..., 0]
                found.append(np.where(batch.w > 0, each.numpy(), 0).sum(axis=1))
        return np.concatenate(found)

    def _written(
        self,
        module: Any,
        n: int,
        draws: np.random.Generator,
        temperature: float,
        top_k: int | None,
        device: torch.device,
    ) -> list[np.ndarray]:
        """Return ``n`` sequences; those that have ended leave the batch."""
        written = np.full((n, self.max_length + 1), self.start, np.uint16)
        lengths = np.ones(n, np.int64)
        active = np.arange(n)
        tokens, state = torch.full((n,), self.start, device=device), None
        for place in range(1, self.max_length + 1):
            logits, state = module.step(tokens, state)
            # As many as there could be, so that the first sequences do not depend on their number.
            drawn = draws.random(_SAMPLED_TOGETHER)[active]
            chosen = _chosen(logits.double().cpu().numpy(), drawn, temperature, top_k, self.start)
            written[active, place] = chosen
            lengths[active] = place + 1
            going = np.flatnonzero(chosen != self.end)
            if len(going) == 0:
                break
            active = active[going]
            kept = torch.from_numpy(going).to(device)
            tokens = torch.from_numpy(chosen[going]).to(device)
            state = state[:, kept]
        return [row[:length] for row, length in zip(written, lengths, strict=True)]

    def _with_next_tokens(self, dataset: Dataset, *, whole: bool = False) -> Dataset:
        """Return the sequences with the token after each place as labels, ``(n, max_length)``.

        Longer sequences are cut, or refused if they have to be ``whole``.
        """
        check_dataset(dataset)
        places = tuple(map(str, range(1, self.max_length + 1)))
        needs = {"y": ("X",), "w": ("X",)}
        function = partial(self._next_tokens, whole=whole)
        return MappedDataset(dataset, function, needs=needs, tasks=places, classes={})

    def _next_tokens(self, batch: Batch, *, whole: bool) -> Batch:
        given_X: Any = batch.X
        if given_X is None:
            return batch
        X = self._checked(given_X)
        limit = self.max_length + 1
        padded, given = X.padded(max(limit, int(X.lengths.max(initial=0))))
        if padded.shape[1] > limit:
            if whole:
                raise DatasetError(
                    f"A sequence has {padded.shape[1] - 1} tokens after its start.",
                    hint=f"The limit is max_length={self.max_length}.",
                )
            padded, given = padded[:, :limit], given[:, :limit]
            X = Ragged(padded[given], np.concatenate([[0], np.cumsum(given.sum(axis=1))]))
        w = given[:, 1:].astype(np.float64)
        return batch._replace(X=X, y=np.where(given, padded, np.nan)[:, 1:], w=w)

    def _checked(self, X: Any) -> Ragged:
        """Return X if its rows are sequences of this generator's tokens."""
        if not isinstance(X, Ragged) or X.dtype.kind not in "iu" or X.values.ndim != 1:
            raise DatasetError(
                "SequenceGenerator takes X as a ragged column of token numbers.",
                hint="Featurize texts first, or use a GeneratorPipeline with SmilesTokens.",
            )
        if len(X) == 0:
            return X
        if X.values.size and not 0 <= X.values.min() <= X.values.max() < self.n_tokens:
            wrong = X.values[(X.values < 0) | (X.values >= self.n_tokens)][0]
            raise DatasetError(
                f"There is the token {wrong}; the generator has those below {self.n_tokens}.",
                hint="n_tokens is the size of the featurizer.",
            )
        starts, ends = (X.values == token for token in (self.start, self.end))
        framed = np.zeros((2, len(X.values)), bool)
        if X.lengths.min() >= 2:
            framed[0, X.offsets[:-1]] = framed[1, X.offsets[1:] - 1] = True
        if X.lengths.min() < 2 or (framed != (starts, ends)).any():
            raise DatasetError(
                f"Each sequence must begin with the token {self.start} and end with "
                f"{self.end}, which are nowhere else.",
                hint="SmilesTokens(ends=True) adds both.",
            )
        return X


def _chosen(
    logits: np.ndarray, draws: np.ndarray, temperature: float, top_k: int | None, never: int
) -> np.ndarray:
    """Return a token for each row of ``logits`` ``(b, tokens)``, by its draw from [0, 1).

    The token ``never`` is not chosen.
    """
    logits = logits.copy()
    logits[:, never] = -np.inf
    if top_k is not None and top_k < logits.shape[1]:
        lowest = np.partition(logits, -top_k, axis=1)[:, -top_k, None]
        logits[logits < lowest] = -np.inf
    highest = logits.max(axis=1, keepdims=True)
    if not np.isfinite(highest).all():
        raise TorchError(
            "The network gives no probabilities: its outputs are not finite.",
            hint="Its weights are damaged, or training diverged.",
        )
    with np.errstate(over="ignore"):  # infinitely far below the highest: probability 0
        sums = np.exp((logits - highest) / temperature).cumsum(axis=1)
    # Below the last sum, whatever the rounding, so that the token has a positive probability.
    targets = np.minimum(draws * sums[:, -1], np.nextafter(sums[:, -1], 0))
    tokens: np.ndarray = (sums <= targets[:, None]).sum(axis=1)
    return tokens.astype(np.int64)

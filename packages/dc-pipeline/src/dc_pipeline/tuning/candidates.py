"""The subject of a tuning, which builds an estimator from the parameters that a tuner suggests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dc_core import Estimator, with_parameters
from dc_core.errors import ParameterError, UnknownParameter
from dc_pipeline.tuning.domains import Domain

Suggest = Callable[[str, Domain], Any]
"""Returns the value of the parameter of this name, from this domain."""

Labels = Mapping[str, Any]
"""The labels of a trial's parameters, by name, which are proposed, stored and compared."""


@dataclass(frozen=True)
class Template:
    """Builds the estimators like ``estimator`` with parameters from ``space``.

    Raises :class:`ParameterError` unless the space maps paths to domains.
    """

    estimator: Estimator
    space: Mapping[str, Domain]

    def __post_init__(self) -> None:
        """Check that the space maps paths to domains."""
        space: Any = self.space
        if not isinstance(space, Mapping) or not space:
            raise ParameterError(
                f"space={self.space!r} has no parameters.",
                hint='Map their paths to domains: {"model.learning_rate": LogUniform(1e-4, 0.1)}.',
            )
        for path, domain in space.items():
            if not isinstance(path, str) or not isinstance(domain, Domain):
                raise ParameterError(
                    f"{path!r} is mapped to {domain!r}, which is not a domain.",
                    hint="Use Uniform, LogUniform, Integer or Choice.",
                )

    def check_paths(self) -> None:
        """Raise :class:`UnknownParameter` if the estimator lacks one of the parameters."""
        rng = np.random.default_rng(0)
        try:
            self(lambda _, domain: domain.value(domain.draw(rng)))
        except UnknownParameter:
            raise
        except Exception:  # noqa: BLE001 - other values may do; a trial of these says why not
            pass

    def suggested(self, suggest: Suggest) -> dict[str, Any]:
        """Return a value for each parameter."""
        return {path: suggest(path, domain) for path, domain in self.space.items()}

    def __call__(self, suggest: Suggest) -> Estimator:
        """Return an estimator with the suggested parameters."""
        return with_parameters(self.estimator, self.suggested(suggest))

    def touches(self, part: str) -> bool:
        """Tell whether a parameter is ``part`` of the estimator or within it."""
        return any(path == part or path.startswith(f"{part}.") for path in self.space)


Candidates = Template | Callable[[Suggest], Estimator]
"""A template, or the user's function."""


@dataclass(frozen=True)
class Proposal:
    """The parameters of one trial: labels, values and domains, each by name."""

    labels: dict[str, Any]
    values: dict[str, Any]
    domains: dict[str, Domain]


class SuggestionError(ParameterError):
    """A function asks for a parameter in a way that no trial could answer."""


def propose(candidates: Candidates, draw: Suggest) -> Proposal:
    """Return the parameters that ``candidates`` asks for, with the labels that ``draw`` returns.

    Raises :class:`SuggestionError`. Any other exception of a user's function is left to the trial,
    which runs into it again.
    """
    proposal = Proposal({}, {}, {})

    def suggest(name: Any, domain: Any) -> Any:
        if name in proposal.domains:
            if proposal.domains[name] != domain:
                raise SuggestionError(
                    f"{name!r} is asked for from two domains: {proposal.domains[name]!r} and "
                    f"{domain!r}.",
                    hint="Give the two parameters different names.",
                )
            return proposal.values[name]
        if not isinstance(name, str) or not isinstance(domain, Domain):
            raise SuggestionError(
                f"suggest({name!r}, {domain!r}) is not a name and a domain.",
                hint='For example: suggest("alpha", LogUniform(1e-3, 1e3)).',
            )
        try:
            label = draw(name, domain)
        except ValueError as error:
            raise SuggestionError(f"{name!r} cannot be suggested: {error}.") from error
        proposal.domains[name] = domain
        proposal.labels[name] = label
        proposal.values[name] = domain.value(label)
        return proposal.values[name]

    if isinstance(candidates, Template):
        candidates.suggested(suggest)
        return proposal
    try:
        candidates(suggest)
    except SuggestionError:
        raise
    except Exception:  # noqa: BLE001 - the trial runs into it again and reports it
        pass
    return proposal


def build(candidates: Candidates, labels: Labels) -> Estimator:
    """Return the estimator of the parameters with these ``labels``."""

    def suggest(name: str, domain: Domain) -> Any:
        if name not in labels or not domain.contains(labels[name]):
            raise SuggestionError(
                f"The parameter {name!r} was not among those asked for before.",
                hint="The function must ask for the same parameters each time: it may depend on "
                "what was suggested, and on nothing else.",
            )
        return domain.value(labels[name])

    estimator = candidates(suggest)
    if not isinstance(estimator, Estimator):
        raise ParameterError(
            f"The function returned a {type(estimator).__name__}.",
            hint="It must return a Pipeline or another dc_core.Estimator.",
        )
    return estimator

"""The seed of each step, so that what a step draws depends on nothing that was drawn before.

Training is then resumed at any step without a state of the generators.
"""

from __future__ import annotations

from typing import Final

_WORD: Final = 2**64 - 1


def step_seed(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """Return the seed of a step, below 2**64; equal arguments give equal seeds.

    Of several processes each has its own ``rank``, and rank 0 draws what a single process does.

    The arguments are mixed as in SplitMix64 (Steele, Lea and Flood 2014,
    doi:10.1145/2714064.2660195), so that neighbours have nothing in common.
    """
    mixed = seed * 0x9E3779B97F4A7C15 + epoch * 0xD1B54A32D192ED03 + step + 1
    mixed = (mixed + rank * 0xDB4F0B9175AE2165) & _WORD
    mixed = (mixed * 0x9E3779B97F4A7C15) & _WORD
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _WORD
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _WORD
    return mixed ^ mixed >> 31

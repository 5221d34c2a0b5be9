"""Kill trainings again and again: each has to end in the weights of one that was not killed.

    python tests/soak [--minutes N] [--seed S] [--epochs E]

A training is killed by SIGKILL at random moments, and run again until it ends.
"""

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = Path(__file__).with_name("program.py")
LONGEST = 150
"""Steps that a training does before it is killed, at most; an epoch has 32."""

KINDS = ("directory", "hub", "pipeline")


def run(place: Path, kind: str, epochs: int, kill_at: float | None = None) -> str | None:
    """Run the program and return its digest; None if it was killed.

    That is done after ``kill_at`` steps; what is behind the point are seconds that it goes on for.
    """
    command = [sys.executable, str(PROGRAM), str(place), kind, str(epochs)]
    steps = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line != "step\n":
                return line.strip()
            if kill_at is not None and steps == int(kill_at):
                time.sleep(kill_at % 1)
                process.kill()
                return None
            steps += 1
    raise RuntimeError(f"The program ended with {process.returncode}.")


def killed_until_it_ends(
    place: Path, kind: str, epochs: int, draws: random.Random, longest: int
) -> tuple[str, int]:
    """Return the digest of a training that is killed again and again, and how often it was.

    It is killed after ``longest`` steps at the latest.
    """
    for kills in itertools.count():
        digest = run(place, kind, epochs, draws.uniform(0, longest))
        if digest is not None:
            return digest, kills
    raise AssertionError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    draws, until, rounds, killed = random.Random(options.seed), time.monotonic(), 0, 0
    until += 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        expected = {
            kind: run(Path(folder, f"{kind}-whole"), kind, options.epochs) for kind in KINDS
        }
        while time.monotonic() < until:
            kind = KINDS[rounds % len(KINDS)]
            place = Path(folder, f"{kind}-{rounds}")
            digest, kills = killed_until_it_ends(place, kind, options.epochs, draws, LONGEST)
            if digest != expected[kind]:
                sys.exit(f"Round {rounds}, {kind}: other weights after {kills} kills.")
            rounds, killed = rounds + 1, killed + kills
            print(f"round {rounds}: {kind}, killed {kills} times, the same weights", flush=True)
    if not killed:
        sys.exit("No training was killed.")
    print(f"{rounds} trainings, killed {killed} times, all with the weights of one that was not.")


if __name__ == "__main__":
    main()

"""Smoke test of the installed wheel: a local cluster runs a map."""

from dc_core import engines

if __name__ == "__main__":
    values = [result.value for result in engines.map(abs, [-1, 2, -3], engine="ray")]
    if values != [1, 2, 3]:
        raise SystemExit(f"the cluster returned {values}")

"""What a process needs to have a wrong clock: see ``sitecustomize``."""

from pathlib import Path


def skewed(seconds: float) -> dict[str, str]:
    """Return the environment of a process whose clock is ``seconds`` ahead."""
    return {"PYTHONPATH": str(Path(__file__).parent), "TEST_CLOCK_SKEW": str(seconds)}

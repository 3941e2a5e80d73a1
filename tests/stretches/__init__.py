"""How long the kernel keeps everybody waiting: the longest stretches without a safe point, with their Python lines."""

from tests.stretches.recording import Recorder, Stretch

__all__ = ["Recorder", "Stretch"]

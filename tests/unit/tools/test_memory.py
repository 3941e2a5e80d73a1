"""How much memory a machine gets. What QEMU makes of it: tests/boot/test_memory_sizes.py."""

from __future__ import annotations

import argparse

import pytest

from tools.arguments import in_bytes, machine_memory

MIB = 1 << 20


@pytest.mark.parametrize("text", ["268435456", "256M", "256m", "262144K"])
def test_ways_to_write_a_size(text: str) -> None:
    assert in_bytes(machine_memory(text)) == 256 * MIB


def test_what_is_too_little() -> None:
    for text in ("31M", "256", "32767K"):
        with pytest.raises(argparse.ArgumentTypeError, match="a machine needs 32M"):
            machine_memory(text)

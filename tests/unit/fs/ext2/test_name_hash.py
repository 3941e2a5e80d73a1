"""The hashes of names, against debugfs."""

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.fs.ext2.name_hash import HALF_MD4, LEGACY, TEA, UNSIGNED, Seed, hash_position, position_of

SEEDS = ("00000000-0000-0000-0000-000000000000", "01234567-89ab-cdef-0123-456789abcdef")
# Without what debugfs takes apart itself.
NAMES = st.lists(st.integers(46, 255).filter(lambda byte: byte not in b"\"'\\"), min_size=1, max_size=255).map(bytes)


def seed_of(uuid: str) -> Seed:
    seed = Seed()
    raw = bytes.fromhex(uuid.replace("-", ""))
    for index in range(4):
        seed[index] = int.from_bytes(raw[4 * index : 4 * index + 4], "little")
    return seed


def judged(names: list[bytes], version: int, uuid: str) -> list[int]:
    """What debugfs says of the names."""
    commands = b"".join(b"dx_hash -h %d -s %s %s\n" % (version, uuid.encode(), name) for name in names)
    said = subprocess.run(["debugfs", "-f", "-"], input=commands, capture_output=True, check=True).stdout
    hashes = re.findall(rb"is 0x([0-9a-f]+) \(minor 0x([0-9a-f]+)\)", said)
    assert len(hashes) == len(names), said
    return [position_of(int(major, 16), int(minor, 16)) for major, minor in hashes]


@pytest.mark.parametrize("uuid", SEEDS)
@pytest.mark.parametrize("version", [LEGACY, HALF_MD4, TEA, LEGACY + UNSIGNED, HALF_MD4 + UNSIGNED, TEA + UNSIGNED])
@settings(max_examples=10)
@given(names=st.lists(NAMES, min_size=1, max_size=30))
def test_hashes(version: int, uuid: str, names: list[bytes]) -> None:
    seed = seed_of(uuid)
    assert [hash_position(name, version, seed) for name in names] == judged(names, version, uuid)

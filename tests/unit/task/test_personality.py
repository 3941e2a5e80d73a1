"""What uname tells those who ask for an old Linux."""

import pytest

from kernel.task import personality
from kernel.task.personality import UNAME26, machine_for, release_for
from kernel.task.process import Process


class Settings:
    """As much of a process as is asked."""

    def __init__(self, bits: int) -> None:
        self.personality = bits


class Asker:
    """… and where it is."""

    def __init__(self, bits: int) -> None:
        self.settings = Settings(bits)


def asker(bits: int) -> Process:
    return Asker(bits)  # type: ignore[return-value]  # the functions read one field


@pytest.mark.parametrize(
    "release, shown",
    [
        (b"6.12.0-krait", b"2.6.72-krait"),
        (b"6.12.0", b"2.6.72"),
        (b"6.1.5.7-x", b"2.6.61.7-x"),
        (b"6.12-rc1", b"2.6.72-rc1"),
    ],
)
def test_a_release_of_2_6(release: bytes, shown: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personality, "RELEASE", release)
    assert release_for(asker(UNAME26)) == shown
    assert release_for(asker(0)) == release


def test_32_bits() -> None:
    assert machine_for(asker(8), b"x86_64") == b"i686"
    assert machine_for(asker(UNAME26), b"x86_64") == b"x86_64"

"""Events of devices: what a program may ask for, and what is heard."""

from __future__ import annotations

import pytest

from kernel.fs.sysfs import events
from kernel.fs.sysfs.events import DeviceKobject
from kernel.lang import EINVAL, Errno
from kernel.net.link.network import FIRST_NETWORK, Network

UUID = b"12345678-abcd-EF01-2345-67890abcdef0"


class Lamp(DeviceKobject):
    """A device of the test's own."""

    def __init__(self) -> None:
        super().__init__(b"virtual/lamps/lamp0", 1 << 60)
        self.subsystem = b"class/lamps"

    def properties(self) -> bytes:
        return b"COLOUR=red\n"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Messages to the first network."""
    messages: list[bytes] = []

    def multicast(network: Network, protocol: int, group: int, data: bytes, port: int, sender: None) -> None:
        assert (network, protocol, group, port, sender) == (FIRST_NETWORK, 15, 1, 0, None)
        messages.append(data)

    monkeypatch.setattr(events, "multicast", multicast)
    monkeypatch.setattr(events, "has_listener", lambda *_: True)
    monkeypatch.setattr(events.NUMBERS, "last", 41)
    return messages


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (b"add", b"SYNTH_UUID=0\0"),
        (b"add\n", b"SYNTH_UUID=0\0"),
        (b"add " + UUID, b"SYNTH_UUID=" + UUID + b"\0"),
        (b"add " + UUID + b" A=1 Bc=xY9\n", b"SYNTH_UUID=" + UUID + b"\0SYNTH_ARG_A=1\0SYNTH_ARG_Bc=xY9\0"),
    ],
)
def test_asked_for(heard: list[bytes], text: bytes, more: bytes) -> None:
    Lamp().request_event(text)
    start = b"add@/devices/virtual/lamps/lamp0\0ACTION=add\0DEVPATH=/devices/virtual/lamps/lamp0\0SUBSYSTEM=lamps\0"
    assert heard == [start + more + b"COLOUR=red\0SEQNUM=42\0"]


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"burn", b"add ", b"add x", b"add " + UUID[:-1], b"add " + UUID + b"0", b"add " + UUID[:-1] + b"g",
        b"add " + UUID.replace(b"-", b"0"), b"add " + UUID + b" ", b"add " + UUID + b" A", b"add " + UUID + b" A=",
        b"add " + UUID + b" =B", b"add " + UUID + b" A=B=C", b"add " + UUID + b" A=b_c",
    ],
)  # fmt: skip
def test_refused(heard: list[bytes], text: bytes) -> None:
    with pytest.raises(Errno) as error:
        Lamp().request_event(text)
    assert error.value.code == EINVAL
    assert heard == []


def test_an_event_that_nobody_hears_has_a_number(heard: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "has_listener", lambda *_: False)
    Lamp().request_event(b"change")
    assert heard == [] and events.NUMBERS.last == 42

"""Faults beside a run of the fuzzer: a peer on the guest's card that mirrors frames and damages them, and a disk that
fails now and then. Neither is repeatable: both live in the host's time.
"""

from __future__ import annotations

import random
import threading

from qemu.qmp import ExecuteError

from tests.boot.faulty_disk import FaultyDisk
from tests.fuzz_network.mutate import damage, repair
from tests.fuzz_network.wire import Wire
from tests.harness import Guest

GUEST_LINK = "52:54:00:12:34:56"
_PEER = bytes.fromhex("525400fedcba")
_ETHER = 14
_IP4, _IP6, _ARP = b"\x08\x00", b"\x86\xdd", b"\x08\x06"
_TCP, _UDP = 6, 17
_MOST_KNOWN = 64  # frames to splice from


def mirrored(frame: bytes) -> bytes:
    """A frame as its receiver would send it: addresses and ports are exchanged, which changes no checksum. ARP's
    questions are answered. Any address is the peer's, so that what the guest sends anywhere comes back.
    """
    fresh = bytearray(frame)
    fresh[0:6], fresh[6:12] = frame[6:12], _PEER
    kind = frame[12:14]
    if kind == _ARP and len(frame) >= 42:
        fresh[20:22] = b"\x00\x02"
        fresh[22:28], fresh[28:32] = _PEER, frame[38:42]
        fresh[32:38], fresh[38:42] = frame[22:28], frame[28:32]
        return bytes(fresh)
    if kind == _IP4 and len(frame) >= _ETHER + 20:
        fresh[26:30], fresh[30:34] = frame[30:34], frame[26:30]
        ports, protocol = _ETHER + (frame[_ETHER] & 15) * 4, frame[23]
    elif kind == _IP6 and len(frame) >= _ETHER + 40:
        fresh[22:38], fresh[38:54] = frame[38:54], frame[22:38]
        ports, protocol = _ETHER + 40, frame[20]
    else:
        return bytes(fresh)
    if protocol in (_TCP, _UDP) and len(frame) >= ports + 4:
        fresh[ports : ports + 2], fresh[ports + 2 : ports + 4] = frame[ports + 2 : ports + 4], frame[ports : ports + 2]
    return bytes(fresh)


class Mirror(threading.Thread):
    """The peer: sends back what the guest sends, but loses some, doubles some, and damages some."""

    def __init__(self, wire: Wire, seed: int) -> None:
        super().__init__(daemon=True)
        self._wire = wire
        self._source = random.Random(seed)
        self._known: list[bytes] = []
        self.stopped = threading.Event()
        self.frames = 0

    def run(self) -> None:
        self._wire.connect()
        while not self.stopped.is_set():
            try:
                arrived = self._wire.exchange(0.2)
            except OSError:
                return  # the guest has ended
            for frame in arrived:
                if len(frame) > _ETHER:
                    self._answer(mirrored(frame))

    def _answer(self, frame: bytes) -> None:
        source = self._source
        self.frames += 1
        if len(self._known) < _MOST_KNOWN:
            self._known.append(frame)
        elif source.random() < 0.05:
            self._known[source.randrange(_MOST_KNOWN)] = frame
        if source.random() < 0.15:
            return
        fresh = bytearray(frame)
        if source.random() < 0.4:
            damage(fresh, source, self._known)
            repair(fresh, source)
        for _ in range(2 if source.random() < 0.1 else 1):
            if len(fresh) > _ETHER:
                self._wire.put(fresh)


class Failures(threading.Thread):
    """Lets a disk fail for a while, again and again: its reads, its writes or its flushes."""

    def __init__(self, guest: Guest, disk: FaultyDisk, seed: int) -> None:
        super().__init__(daemon=True)
        self._guest = guest
        self._disk = disk
        self._source = random.Random(seed)
        self.stopped = threading.Event()
        self.times = 0

    def run(self) -> None:
        while not self.stopped.wait(self._source.uniform(0.3, 2)):
            try:
                self._disk.fail(self._guest, self._source.choice(("read", "write", "write", "flush")), "any")
                self.times += 1
                self.stopped.wait(self._source.uniform(0.05, 0.5))
                self._disk.heal(self._guest)
            except (ExecuteError, OSError, EOFError):
                return  # the guest has ended

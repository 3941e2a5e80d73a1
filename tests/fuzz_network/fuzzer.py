"""The flood: a stream of frames from one seed, sent as fast as the guest takes them."""

from __future__ import annotations

import random
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz_network.mutate import damage, repair
from tests.fuzz_network.peer import Peer
from tests.fuzz_network.templates import build_templates
from tests.fuzz_network.wire import Wire

_BATCH = 64
_MOST_BATCHES = 12  # under way: more than the card's ring holds, so that the guest never waits for us
_PATIENCE_SECONDS = 0.5  # for the answer to a mark: a guest under load may lose it
_REMEMBERED = 20_000  # frames, for looking at what came before a failure
_PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


class Fuzzer:
    """Frames that the seed decides, and what the guest's answers make of them."""

    def __init__(self, wire: Wire, seed: int) -> None:
        self._wire = wire
        self._source = random.Random(seed)
        self._templates = build_templates()
        self._recent: deque[bytes] = deque(maxlen=_REMEMBERED)
        self.peer = Peer(self._source, self._put)
        self._marks_sent = 0
        self._marks_seen = 0
        self._last_mark = 0.0
        self.sent = 0
        self.received = 0

    def _put(self, frame: bytes | bytearray) -> None:
        self._recent.append(bytes(frame))
        self.sent += 1
        self._wire.put(frame)

    def _frame(self) -> None:
        source = self._source
        choice = source.getrandbits(6)
        if choice < 3:
            self.peer.open_one()
            return
        if choice < 8 and self.peer.send_data():
            return
        frame = self.peer.attack() if choice < 28 else None
        if frame is None:
            frame = bytearray(source.choice(self._templates))
            if choice < 40:
                self._change_source(frame)
            damage(frame, source, self._templates)
            repair(frame, source)
        elif choice < 14:
            damage(frame, source, self._templates)
            repair(frame, source)
        self._put(frame)

    def _change_source(self, frame: bytearray) -> None:
        """Another host of the link, or one from afar, or one that cannot be."""
        source = self._source
        if frame[12:14] == b"\x08\x00" and len(frame) >= 34:
            kind = source.getrandbits(2)
            if kind < 2:
                frame[29] = source.getrandbits(8)
            elif kind == 2:
                frame[26:30] = source.randbytes(4)
            else:
                frame[26:30] = source.choice((b"\0\0\0\0", b"\x7f\0\0\1", b"\xe0\0\0\1"))
        elif frame[12:14] == b"\x86\xdd" and len(frame) >= 54:
            frame[36:38] = source.randbytes(2)
            if len(frame) >= 120 and frame[54] == 134:
                frame[94:110] = b"\xfd" + source.randbytes(7) + bytes(8)  # about where a prefix lies

    def flood(self, seconds: float, look: Callable[[], None] | None = None, look_every: float = 1.0) -> float:
        """Send for that long; `look` is called now and then, and raises what is wrong. Returns frames a second."""
        start = time.monotonic()
        next_look = start + look_every
        before = self.sent
        while True:
            now = time.monotonic()
            if now - start >= seconds:
                return (self.sent - before) / (now - start)
            if look is not None and now >= next_look:
                look()
                next_look = time.monotonic() + look_every
            if self._may_send(now):
                for _ in range(_BATCH):
                    self._frame()
                self._marks_sent += 1
                self._put(self.peer.mark(self._marks_sent))
            self._exchange(0.05)

    def _may_send(self, now: float) -> bool:
        """Whether the guest is near the end of what was sent. QEMU keeps without limit what the guest has not taken, so
        that the socket never says it; each batch ends with a question, and the answers tell.
        """
        if self._marks_sent - self._marks_seen < _MOST_BATCHES:
            return True
        if now - self._last_mark < _PATIENCE_SECONDS:
            return False
        self._last_mark = now
        return True

    def _exchange(self, wait_seconds: float) -> None:
        for frame in self._wire.exchange(wait_seconds):
            self.received += 1
            number = self.peer.take(frame)
            if number > self._marks_seen:
                self._marks_seen = number
                self._last_mark = time.monotonic()

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Meanwhile the peer, in a thread, only answers, by a reset to whatever the guest says on a connection."""
        ended = threading.Event()

        def answer() -> None:
            while not ended.is_set():
                self._exchange(0.1)

        thread = threading.Thread(target=answer, daemon=True)
        self.peer.is_ending = True
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.peer.is_ending = False

    def save(self, path: Path) -> None:
        """Write what was sent last into a capture file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(_PCAP_HEADER)
            for number, frame in enumerate(self._recent):
                file.write(struct.pack("<IIII", 0, number, len(frame), len(frame)) + frame)

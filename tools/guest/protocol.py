"""What krait and the agent in a guest (userland/agent) say to each other: frames with a kind and a length.

One session is one program at one port of the virtio console, from its request to its exit status. What the program
prints travels inside frames, so nothing that it prints is taken for a message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

HEADER = struct.Struct("<B3xI")
LONGEST = 65536  # bytes of a frame
WINDOW = 262_144  # bytes of input under way, until the agent gives more credit

# To the agent.
REQUEST, INPUT, INPUT_END, SIGNAL, WINDOW_SIZE, READER_GONE, DONE = b"QIEKWBD"
# From the agent.
HELLO, OUTPUT, ERRORS, CREDIT, STARTED, EXITED, FAILED = b"HORCSXF"
KINDS = b"HORCSXF"


class ProtocolError(Exception):
    """The other side sent what is no frame."""


def frame(kind: int, data: bytes = b"") -> bytes:
    assert len(data) <= LONGEST
    return HEADER.pack(kind, len(data)) + data


class Parser:
    """Frames from a stream that comes in pieces."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Kind and contents of each frame that is whole now. Raises ProtocolError."""
        self._held += data
        at = 0
        while len(self._held) - at >= HEADER.size:
            kind, length = HEADER.unpack_from(self._held, at)
            if kind not in KINDS or length > LONGEST:
                raise ProtocolError(f"a frame of kind {kind} with {length} bytes")
            end = at + HEADER.size + length
            if len(self._held) < end:
                break
            yield kind, bytes(self._held[at + HEADER.size : end])
            at = end
        del self._held[:at]


@dataclass(kw_only=True)
class Request:
    """A program to be started. The fields of the second half are for the machine, and count for its first program."""

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = ""
    tty: bool = False
    size: tuple[int, int] = (0, 0)  # rows and columns
    input: bool = True  # False: /dev/null
    tool: bool = False  # run the agent's own busybox, whatever the image holds
    nonce: str = ""  # said back in HELLO

    hostname: str = ""
    nameserver: str = ""
    root: str = ""  # device of the root file system; without it, the initial RAM disk is it
    keep: bool = False  # what is written to the root's disk is kept: it must be clean at the end
    carried: bool = False  # files of the initial RAM disk's /krait are to be seen in /tmp/krait of another root
    shares: list[str] = field(default_factory=list)  # TAG:PATH[:ro]
    services: bool = False

    def encode(self) -> bytes:
        """As a frame. Raises ValueError if it is too long, or holds a NUL."""
        settings = [("nonce", self.nonce), ("hostname", self.hostname), ("nameserver", self.nameserver),
                    ("root", self.root), ("cwd", self.directory), ("user", self.user)]  # fmt: skip
        switches = [("tty", self.tty), ("input", self.input), ("tool", self.tool), ("keep", self.keep),
                    ("carried", self.carried), ("services", self.services)]  # fmt: skip
        parts = [f"{key}={value}" for key, value in settings if value]
        parts += [f"{key}=1" for key, value in switches if value]
        parts.append(f"size={self.size[0]},{self.size[1]}")
        parts += [f"share={each}" for each in self.shares]
        parts += [f"env={key}={value}" for key, value in self.environment.items()]
        parts += [f"arg={each}" for each in self.arguments]
        if any("\0" in part for part in parts):
            raise ValueError("arguments and environment hold no NUL bytes")
        data = b"".join(part.encode(errors="surrogateescape") + b"\0" for part in parts)
        if len(data) > LONGEST:
            raise ValueError(f"arguments and environment have {len(data)} bytes, more than the {LONGEST} that fit")
        return frame(REQUEST, data)

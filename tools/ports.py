"""Ports of this machine, on its loopback address: whether those that somebody asked for are free, and which is."""

from __future__ import annotations

from tools.errors import KraitError, UsageError
from tools.machine import Forward

GDB_PORT = Forward(1234, 0)


def check_ports(forwards: list[Forward]) -> None:
    """Raise KraitError if somebody listens on a port that is to be forwarded, or it is to be so twice."""
    if not forwards:
        return
    import socket

    taken = set()
    for each in forwards:
        if (each.protocol, each.host_port) in taken and each.host_port != 0:
            raise UsageError(f"krait: port {each.host_port} of this machine can be forwarded once only")
        taken.add((each.protocol, each.host_port))
        kind = socket.SOCK_STREAM if each.protocol == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", each.host_port))
            except OSError as error:
                reason = (error.strerror or "").lower()
                raise KraitError(f"krait: port {each.host_port} of this machine: {reason}") from error


def free_port(first: int) -> int:
    """A port of the loopback address that nobody listens on, from `first` on."""
    import socket

    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise KraitError(f"krait run: no free port between {first} and {first + 99}")

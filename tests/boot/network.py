"""Guests with a network card behind QEMU's user network, and ports of the host that lead to them."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.harness import Guest, Kernel
from tools.machine import Forward, Machine, Network

HOST = "10.0.2.2"  # the host's loopback address, as the guest sees it


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of the host that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_ports(count: int) -> list[int]:
    """Ports of the host that nobody uses now, each another one."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def raise_descriptor_limit() -> None:
    """Let this process, and the QEMU that it starts, hold thousands of connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def networked(kernel: Kernel, initrd: Path, forwards: tuple[Forward, ...], memory: str = "256M") -> Iterator[Guest]:
    """A guest at its prompt with an address."""
    with Guest(kernel.boot(initrd, "quiet"), Machine(memory=memory, network=Network(forwards))) as guest:
        guest.expect_prompt(60)
        guest.run("stty columns 500")  # so that the shell does not break long lines
        assert "inet addr:10.0.2.15" in guest.check("ifconfig eth0")
        yield guest

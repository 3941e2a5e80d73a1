"""Guests with a network card behind QEMU's user network, and ports of the host that lead to them."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import Guest, Kernel
from tools.machine import Forward, Machine, Network

HOST = "10.0.2.2"  # the host's loopback address, as the guest sees it


def forwards(*ports: int, protocol: str = "tcp") -> tuple[Forward, ...]:
    """Ports of the host that lead to these of the guest. QEMU takes what is free, so that nobody comes first; it says
    which: `host_ports`.
    """
    return tuple(Forward(0, port, protocol) for port in ports)


def host_ports(guest: Guest, port: int, protocol: str = "tcp") -> list[int]:
    """The host's ports that lead to a port of the guest."""
    rule = rf"{protocol.upper()}\[HOST_FORWARD\] +\d+ +127\.0\.0\.1 +(\d+) +\S+ +{port} "
    return [int(found) for found in re.findall(rule, guest.monitor("info usernet"))]


def raise_descriptor_limit() -> None:
    """Let this process, and the QEMU that it starts, hold thousands of connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def networked(kernel: Kernel, initrd: Path, ports: tuple[Forward, ...], memory: str = "256M") -> Iterator[Guest]:
    """A guest at its prompt with an address."""
    with Guest(kernel.boot(initrd, "quiet"), Machine(memory=memory, network=Network(ports))) as guest:
        guest.expect_prompt(60)
        guest.run("stty columns 500")  # so that the shell does not break long lines
        assert "inet addr:10.0.2.15" in guest.check("ifconfig eth0")
        yield guest

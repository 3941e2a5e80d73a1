"""A firewall under CPython: batches go in as bytes, packets as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lib.credentials import Credentials
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.netlink import filter_socket
from kernel.net.nftables import subsystem
from kernel.net.nftables.model import firewall_of
from tests.unit.net.conftest import Wire, loopback, wire
from tests.unit.net.nftables.nft import Nft

__all__ = ["Wire", "loopback", "wire"]


class Caller:
    """Stands for the running task: root."""

    credentials = Credentials()
    own_pid = 7
    name = b"test"


class FreeLock:
    """Stands for the firewall's mutex: there is one thread."""

    def acquire_unless_dying(self) -> None: ...

    def release(self) -> None: ...


@pytest.fixture
def nft(loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nft]:
    monkeypatch.setattr(filter_socket, "current", Caller)
    monkeypatch.setattr(subsystem, "current", Caller)
    firewall = firewall_of(FIRST_NETWORK)
    monkeypatch.setattr(firewall, "lock", FreeLock())
    made = Nft()
    yield made
    made.batch(made.delete_table(0))
    assert firewall.tables == []
    assert FIRST_NETWORK.hooks4 is None and FIRST_NETWORK.hooks6 is None

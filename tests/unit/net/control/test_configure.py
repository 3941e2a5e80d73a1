"""What `ip=` on the kernel's command line makes of a host whose card has no address yet."""

from __future__ import annotations

import pytest

from kernel.net.control import configure
from kernel.net.control.configure import Configuration
from kernel.net.internet.addresses import addresses_of
from kernel.net.link.device import NetworkDevice, register_device
from kernel.net.link.network import FIRST_NETWORK
from tools.simulated.wire import Wire


@pytest.mark.parametrize(("value", "address", "asks"), [
    (b"10.0.2.15::10.0.2.2:255.255.255.0::eth0:off:10.0.2.3", (b"\x0a\x00\x02\x0f", 24), False),
    (b"10.0.2.15::10.0.2.2:255.255.255.0::eth0:none", (b"\x0a\x00\x02\x0f", 24), False),
    (b"10.0.2.15::10.0.2.2:255.255.255.0::eth0:dhcp", (b"\x0a\x00\x02\x0f", 24), False),
    (b"10.0.2.15", (b"\x0a\x00\x02\x0f", 8), False),
    (b"", None, False),
    (b"off", None, False), (b"none", None, False), (b"::::::off", None, False), (b":::::eth0:none", None, False),
    (b"dhcp", None, True), (b"on", None, True), (b"::::::dhcp", None, True), (b":::::eth0", None, True),
])  # fmt: skip
def test_who_gives_the_address(
    loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch, value: bytes, address: tuple[bytes, int] | None,
    asks: bool,
) -> None:
    asked: list[NetworkDevice] = []
    monkeypatch.setattr(configure, "_start_dhcp", asked.append)
    monkeypatch.setattr(configure, "_configuration", Configuration())
    wire = Wire()
    register_device(wire)
    configure.configure(value)
    found = [(each.address, each.prefix_length) for each in addresses_of(FIRST_NETWORK).entries
             if each.device is wire and len(each.address) == 4]  # fmt: skip
    assert found == ([] if address is None else [address])
    assert asked == ([wire] if asks else [])
    assert (configure.pnp() != b"") == (address is not None)

"""Settings of one interface: /proc/sys/net/ipv4/conf/NAME and ipv6/conf/NAME (ip-sysctl of Linux's documentation).

`all` counts for every interface of a network, together with the interface's own value, as Linux combines the two;
`default` is what an interface that is registered later starts with. Settings that the stack obeys for all interfaces
alike are in `sysctl.py`. procfs shows those of interfaces by `ROWS`.

Context: thread context; nothing sleeps. An interface's settings are created when it is registered; MemoryError.
"""

from typing import Final

from kernel.lang import final
from kernel.net.internet.sysctl import IP4_SETTINGS, IP6_SETTINGS, NetworkSetting
from kernel.net.link.device import DeviceWatcher, NetworkDevice, watch_devices
from kernel.net.link.network import LOOPBACK, Network
from kernel.net.link.part import Part


@final
class InterfaceSetting:
    """One that every interface has, and that its network has for all and as a default."""

    def __init__(
        self, family: bytes, name: bytes, value: int, least: int, most: int, for_all: NetworkSetting | None = None
    ) -> None:
        self.family: bytes = family  # ipv4 or ipv6
        self.name: bytes = name
        self.least: int = least
        self.most: int = most
        self.place: int = len(ROWS)
        conf = family + b"/conf/"
        self.for_all: NetworkSetting = (
            NetworkSetting(conf + b"all/" + name, value, least, most) if for_all is None else for_all
        )
        self.default: NetworkSetting = NetworkSetting(conf + b"default/" + name, value, least, most)
        ROWS.append(self)

    def of(self, device: NetworkDevice) -> int:
        """The interface's own."""
        return settings_of(device).values[self.place]

    def set(self, device: NetworkDevice, value: int) -> None:
        """Another one, within bounds."""
        settings_of(device).values[self.place] = value

    def of_all(self, network: Network) -> int:
        """What the network says for all."""
        return self.for_all.of(network)


ROWS: Final[list[InterfaceSetting]] = []
ACCEPT_REDIRECTS4: Final = InterfaceSetting(b"ipv4", b"accept_redirects", 1, 0, 1)
SEND_REDIRECTS4: Final = InterfaceSetting(b"ipv4", b"send_redirects", 1, 0, 1)
ACCEPT_REDIRECTS6: Final = InterfaceSetting(b"ipv6", b"accept_redirects", 1, 0, 1)
# Of what is sent there. Routers set it, and the MTU (RFC 4861, section 6.3.4).
HOP_LIMIT6: Final = InterfaceSetting(b"ipv6", b"hop_limit", 64, 1, 255, IP6_SETTINGS.hop_limit)


@final
class InterfaceSettings(Part):
    """Those of one interface."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.values: list[int] = [row.default.of(network) for row in ROWS]
        self.mtu6: int = 0  # 0: the interface's
        self.has_link_local: bool = False  # it was given its link-local address when it went up


def settings_of(device: NetworkDevice) -> InterfaceSettings:
    """The settings of a registered interface."""
    part = device.settings
    assert isinstance(part, InterfaceSettings)
    return part


def link_mtu6(device: NetworkDevice) -> int:
    """The MTU of the interface for IPv6: a router may have announced a smaller one."""
    own = settings_of(device).mtu6
    return device.mtu if own == 0 else min(own, device.mtu)


def accepts_redirects(device: NetworkDevice, size: int) -> bool:
    """Whether a redirect that comes in there, of IPv4 (`size` 4) or IPv6 (16), may be believed: routers are strict."""
    network = device.network
    if size == 16:
        return IP6_SETTINGS.forwarding.of(network) == 0 and ACCEPT_REDIRECTS6.of(device) != 0
    for_all = ACCEPT_REDIRECTS4.of_all(network) != 0
    own = ACCEPT_REDIRECTS4.of(device) != 0
    if IP4_SETTINGS.ip_forward.of(network) != 0:
        return for_all and own
    return for_all or own


def sends_redirects(device: NetworkDevice) -> bool:
    """Whether an IPv4 router tells hosts on the interface's link of better gateways."""
    return SEND_REDIRECTS4.of_all(device.network) != 0 or SEND_REDIRECTS4.of(device) != 0


@final
class _FollowDevices(DeviceWatcher):
    def device_added(self, device: NetworkDevice) -> None:
        device.settings = InterfaceSettings(device.network)


LOOPBACK.settings = InterfaceSettings(LOOPBACK.network)  # it was registered before this module was imported
watch_devices(_FollowDevices())

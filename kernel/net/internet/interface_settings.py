"""Settings of one interface: /proc/sys/net/ipv4/conf/NAME and ipv6/conf/NAME (ip-sysctl of Linux's documentation).

The effect of `all` depends on the setting, as on Linux: none, as much as the interface's own value, or
writing it writes all of them (`forwarding`). `default` is the initial value for interfaces registered later. A new
network starts with the first network's IPv4 values. Settings that the stack obeys for all interfaces alike are in
`sysctl.py`. procfs shows the settings of interfaces through `ROWS`.

Context: thread context; nothing sleeps. An interface's settings are created when it is registered; MemoryError.
"""

from typing import Final

from kernel.lang import final
from kernel.net.internet.sysctl import INT_MAX, IP4_SETTINGS, IP6_SETTINGS, NetworkSetting, SettingFollower
from kernel.net.link.device import DeviceWatcher, NetworkDevice, watch_devices
from kernel.net.link.network import INHERITED_SETTINGS, LOOPBACK, Network
from kernel.net.link.part import Part


class InterfaceFollower:
    """Acts on a change of an interface's setting. Base class."""

    def changed(self, device: NetworkDevice, value: int) -> None:
        """The interface has this value now. May take safe points, and raise MemoryError."""


_NOBODY: Final = InterfaceFollower()


@final
class InterfaceSetting:
    """A setting of every interface, with a value for all and a default in each network."""

    def __init__(
        self, family: bytes, name: bytes, value: int, least: int, most: int, for_all: NetworkSetting | None = None
    ) -> None:
        self.family: bytes = family  # ipv4 or ipv6
        self.name: bytes = name
        self.least: int = least
        self.most: int = most
        self.place: int = len(ROWS)
        self.follower: InterfaceFollower = _NOBODY
        conf = family + b"/conf/"
        self.for_all: NetworkSetting = (
            NetworkSetting(conf + b"all/" + name, value, least, most) if for_all is None else for_all
        )
        self.default: NetworkSetting = NetworkSetting(conf + b"default/" + name, value, least, most)
        if family == b"ipv4":
            INHERITED_SETTINGS.append(self.for_all.place)
            INHERITED_SETTINGS.append(self.default.place)
        ROWS.append(self)

    def of(self, device: NetworkDevice) -> int:
        """The interface's own value."""
        return settings_of(device).values[self.place]

    def set(self, device: NetworkDevice, value: int) -> None:
        """Set the interface's value, within bounds."""
        settings_of(device).values[self.place] = value

    def write(self, device: NetworkDevice, value: int) -> None:
        """The same, for a program: what depends on it follows. May take safe points; raises MemoryError."""
        is_new = value != self.of(device)
        self.set(device, value)
        if is_new:
            self.follower.changed(device, value)

    def of_all(self, network: Network) -> int:
        """The network's value for all."""
        return self.for_all.of(network)

    def most_of(self, device: NetworkDevice) -> int:
        """The larger of the interface's own value and the network's for all."""
        return max(self.of(device), self.of_all(device.network))

    def is_set_for(self, device: NetworkDevice) -> bool:
        """Whether the interface's own value or the network's for all is not zero."""
        return self.of(device) | self.of_all(device.network) != 0


_INT_MIN: Final = -0x8000_0000

ROWS: Final[list[InterfaceSetting]] = []
ACCEPT_REDIRECTS4: Final = InterfaceSetting(b"ipv4", b"accept_redirects", 1, _INT_MIN, INT_MAX)
SEND_REDIRECTS4: Final = InterfaceSetting(b"ipv4", b"send_redirects", 1, _INT_MIN, INT_MAX)
# Whether datagrams received there may be forwarded.
FORWARDING4: Final = InterfaceSetting(
    b"ipv4", b"forwarding", 0, _INT_MIN, INT_MAX,
    NetworkSetting(b"ipv4/conf/all/forwarding", 0, _INT_MIN, INT_MAX, IP4_SETTINGS.ip_forward.place),
)  # fmt: skip
# Whether a datagram must come in on the route back to its sender (RFC 3704): 1, on that interface; 2, on any.
RP_FILTER4: Final = InterfaceSetting(b"ipv4", b"rp_filter", 0, _INT_MIN, INT_MAX)
# Whether addresses of 127.0.0.0/8 may be on its link.
ROUTE_LOCALNET4: Final = InterfaceSetting(b"ipv4", b"route_localnet", 0, _INT_MIN, INT_MAX)
# Whether neighbours are notified of its addresses when it goes up or its link address changes.
ARP_NOTIFY4: Final = InterfaceSetting(b"ipv4", b"arp_notify", 0, _INT_MIN, INT_MAX)
# Whether the host is a router there. (Datagrams are forwarded if the network's value is set, wherever they come from.)
FORWARDING6: Final = InterfaceSetting(b"ipv6", b"forwarding", 0, _INT_MIN, INT_MAX, IP6_SETTINGS.forwarding)
# Whether routers are believed: 1, by hosts; 2, by routers as well.
ACCEPT_RA6: Final = InterfaceSetting(b"ipv6", b"accept_ra", 1, _INT_MIN, INT_MAX)
# Whether addresses are formed from advertised prefixes.
AUTOCONF6: Final = InterfaceSetting(b"ipv6", b"autoconf", 1, _INT_MIN, INT_MAX)
ROUTER_SOLICITATIONS6: Final = InterfaceSetting(b"ipv6", b"router_solicitations", -1, -1, INT_MAX)
# Whether addresses are tested before they are used, and how many probes are sent for each (RFC 4862).
ACCEPT_DAD6: Final = InterfaceSetting(
    b"ipv6", b"accept_dad", 1, _INT_MIN, INT_MAX,
    NetworkSetting(b"ipv6/conf/all/accept_dad", 0, _INT_MIN, INT_MAX),
)  # fmt: skip
DAD_TRANSMITS6: Final = InterfaceSetting(b"ipv6", b"dad_transmits", 1, _INT_MIN, INT_MAX)
ACCEPT_REDIRECTS6: Final = InterfaceSetting(b"ipv6", b"accept_redirects", 1, _INT_MIN, INT_MAX)
# Whether the interface has no IPv6: no addresses, no routes, and packets that come in are dropped.
DISABLE6: Final = InterfaceSetting(b"ipv6", b"disable_ipv6", 0, _INT_MIN, INT_MAX, IP6_SETTINGS.disable_ipv6)
# Of packets sent there. Routers set it, and the MTU (RFC 4861, section 6.3.4).
HOP_LIMIT6: Final = InterfaceSetting(b"ipv6", b"hop_limit", 64, 1, 255, IP6_SETTINGS.hop_limit)


@final
class InterfaceSettings(Part):
    """The settings of one interface."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.values: list[int] = [row.default.of(network) for row in ROWS]
        self.announced_address: bytes = b""  # of the link: neighbours know it
        self.mtu6: int = 0  # 0: the interface's
        self.has_link_local: bool = False  # it got its link-local address when it went up


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
    """Whether a redirect received there, of IPv4 (`size` 4) or IPv6 (16), may be believed: routers are strict."""
    network = device.network
    if size == 16:
        return FORWARDING6.of(device) == 0 and ACCEPT_REDIRECTS6.of(device) != 0
    for_all = ACCEPT_REDIRECTS4.of_all(network) != 0
    own = ACCEPT_REDIRECTS4.of(device) != 0
    if FORWARDING4.of(device) != 0:
        return for_all and own
    return for_all or own


def sends_redirects(device: NetworkDevice) -> bool:
    """Whether an IPv4 router sends redirects to hosts on the interface's link."""
    return SEND_REDIRECTS4.of_all(device.network) != 0 or SEND_REDIRECTS4.of(device) != 0


def proves_addresses(device: NetworkDevice) -> bool:
    """Whether a new IPv6 address is probed before it is used."""
    return ACCEPT_DAD6.most_of(device) > 0 and DAD_TRANSMITS6.of(device) > 0


@final
class _AllForward(SettingFollower):
    """Writing `all` writes every interface's value, and the default. An IPv4 router believes no redirects."""

    def __init__(self, setting: InterfaceSetting) -> None:
        self.setting: InterfaceSetting = setting

    def changed(self, network: Network, value: int) -> None:
        setting = self.setting
        # Written into the list directly: these trigger no follower.
        if setting is FORWARDING4:
            network.settings[ACCEPT_REDIRECTS4.for_all.place] = 1 if value == 0 else 0
        network.settings[setting.default.place] = value
        for device in network.devices:
            setting.set(device, value)


@final
class _AllDisable(SettingFollower):
    """Writing `all` writes every interface's value, and the default."""

    def changed(self, network: Network, value: int) -> None:
        network.settings[DISABLE6.default.place] = value
        for device in network.devices[:]:
            if device.network is network and device.settings is not None:  # others come and go meanwhile
                DISABLE6.write(device, value)


IP6_SETTINGS.disable_ipv6.follower = _AllDisable()
IP4_SETTINGS.ip_forward.follower = _AllForward(FORWARDING4)
FORWARDING4.for_all.follower = IP4_SETTINGS.ip_forward.follower
IP6_SETTINGS.forwarding.follower = _AllForward(FORWARDING6)


@final
class _FollowDevices(DeviceWatcher):
    def device_added(self, device: NetworkDevice) -> None:
        device.settings = InterfaceSettings(device.network)


LOOPBACK.settings = InterfaceSettings(LOOPBACK.network)  # it was registered before this module was imported
watch_devices(_FollowDevices())

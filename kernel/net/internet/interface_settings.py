"""Settings of one interface: /proc/sys/net/ipv4/conf/NAME and ipv6/conf/NAME (ip-sysctl of Linux's documentation).

`all` counts for every interface, together with the interface's own value, as Linux combines the two; `default` is what
an interface that is registered later starts with. Settings that the stack obeys for all interfaces alike are in
`sysctl.py`.

Context: thread context; nothing sleeps. An interface's settings are created when it is registered; MemoryError.
"""

from typing import Final

from kernel.lang import final
from kernel.net.internet.sysctl import IP4_SETTINGS, IP6_SETTINGS, NetworkSetting
from kernel.net.link.device import DEVICES, DeviceWatcher, NetworkDevice, watch_devices


@final
class InterfaceSettings:
    """Those of one interface, or of `all` or `default`; `model` is what they start with."""

    def __init__(self, name: bytes, model: "InterfaceSettings | None") -> None:
        four = b"ipv4/conf/" + name + b"/"
        six = b"ipv6/conf/" + name + b"/"
        accept4 = 1 if model is None else model.accept_redirects4.value
        send4 = 1 if model is None else model.send_redirects4.value
        accept6 = 1 if model is None else model.accept_redirects6.value
        self.accept_redirects4: NetworkSetting = NetworkSetting(four + b"accept_redirects", accept4, 0, 1)
        self.send_redirects4: NetworkSetting = NetworkSetting(four + b"send_redirects", send4, 0, 1)
        self.accept_redirects6: NetworkSetting = NetworkSetting(six + b"accept_redirects", accept6, 0, 1)
        # Of what is sent there. Routers set both (RFC 4861, section 6.3.4); `all` has a hop limit in sysctl.py.
        self.hop_limit6: NetworkSetting = IP6_SETTINGS.hop_limit
        if model is not None or name == b"default":
            limit = IP6_SETTINGS.hop_limit.value if model is None else model.hop_limit6.value
            self.hop_limit6 = NetworkSetting(six + b"hop_limit", limit, 1, 255)
        self.mtu6: int = 0  # 0: the interface's


ALL: Final = InterfaceSettings(b"all", None)
DEFAULT: Final = InterfaceSettings(b"default", None)


@final
class InterfaceTable:
    """The settings of the interfaces, by index."""

    def __init__(self) -> None:
        self.by_index: list[InterfaceSettings] = [ALL]


INTERFACES: Final = InterfaceTable()


def settings_of(device: NetworkDevice) -> InterfaceSettings:
    """The settings of a registered interface."""
    return INTERFACES.by_index[device.index]


def link_mtu6(device: NetworkDevice) -> int:
    """The MTU of the interface for IPv6: a router may have announced a smaller one."""
    own = settings_of(device).mtu6
    return device.mtu if own == 0 else min(own, device.mtu)


def accepts_redirects(device: NetworkDevice, size: int) -> bool:
    """Whether a redirect that comes in there, of IPv4 (`size` 4) or IPv6 (16), may be believed: routers are strict."""
    own = settings_of(device)
    if size == 16:
        return IP6_SETTINGS.forwarding.value == 0 and own.accept_redirects6.value != 0
    if IP4_SETTINGS.ip_forward.value != 0:
        return ALL.accept_redirects4.value != 0 and own.accept_redirects4.value != 0
    return ALL.accept_redirects4.value != 0 or own.accept_redirects4.value != 0


def sends_redirects(device: NetworkDevice) -> bool:
    """Whether an IPv4 router tells hosts on the interface's link of better gateways."""
    return ALL.send_redirects4.value != 0 or settings_of(device).send_redirects4.value != 0


@final
class _FollowDevices(DeviceWatcher):
    def device_added(self, device: NetworkDevice) -> None:
        INTERFACES.by_index.append(InterfaceSettings(device.name, DEFAULT))


def _start() -> None:
    """Interfaces that were registered before this module was imported."""
    for device in DEVICES.devices:
        INTERFACES.by_index.append(InterfaceSettings(device.name, DEFAULT))
    watch_devices(_FollowDevices())


_start()

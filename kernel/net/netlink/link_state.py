"""The operational state of an interface (RFC 2863; Linux's Documentation/networking/operstates.rst)."""

from typing import Final

from kernel.net.link.device import IFF_NOARP, NetworkDevice, device_by_index

_UNKNOWN: Final = 0
_DOWN: Final = 2
_LOWER_DOWN: Final = 3
_UP: Final = 6


def operational_state(device: NetworkDevice) -> int:
    """IF_OPER_*."""
    if device.is_loopback():
        return _UNKNOWN if device.is_up() else _DOWN
    if not device.is_up():
        return _DOWN
    if device.standing.is_unknown or (device.flags & IFF_NOARP != 0 and device.virtual_kind == b"dummy"):
        return _UNKNOWN if device.is_live() else _DOWN
    if device.is_live():
        return _UP
    partner = device.partner()
    if partner is None or partner.index == device.index:
        return _DOWN
    # As on Linux, the index refers to this network, whichever network the partner is in.
    lower = device_by_index(device.network, partner.index)
    return _DOWN if lower is None or lower.has_carrier else _LOWER_DOWN

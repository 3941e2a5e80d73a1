"""Forwarding tables of bridges in rtnetlink: messages of family AF_BRIDGE about neighbours (bridge(8), `bridge fdb`).

A request asks an interface for the addresses that its bridge knows through it ("master"), and for the addresses that
it listens to itself ("self").

Context: system calls, and wherever tables change; only dumps sleep.
"""

from typing import Final

from kernel.lang import EEXIST, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM, Errno, Span, u8
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.link.bridge import STATE_FORWARDING, STATE_LEARNING, BridgeDevice, BridgePort, port_of
from kernel.net.link.bridge_table import IN_VLAN, PLAIN, Entry
from kernel.net.link.device import ARPHRD_ETHER, NetworkDevice, device_by_index
from kernel.net.link.network import Network
from kernel.net.netlink.bridge_links import AF_BRIDGE
from kernel.net.netlink.messages import HEADER_SIZE, NLM_F_CREATE, NLM_F_EXCL, MessageWriter, Request, find_attribute
from kernel.time import monotonic_ns

_RTM_NEWNEIGH: Final = 28
_NDA_LLADDR: Final = 2
_NDA_CACHEINFO: Final = 3
_NDA_VLAN: Final = 5
_NDA_MASTER: Final = 9
_NDA_FLAGS_EXT: Final = 15
_IFLA_MASTER: Final = 10
_NTF_USE: Final = 0x01
_NTF_SELF: Final = 0x02
_NTF_MASTER: Final = 0x04
_NTF_EXT_LEARNED: Final = 0x10
_NTF_STICKY: Final = 0x40
# States (NUD_*): permanent, without ageing, ageing, too old.
_REACHABLE: Final = 0x02
_STALE: Final = 0x04
_NOARP: Final = 0x40
_PERMANENT: Final = 0x80

_HEADER: Final = 12  # struct ndmsg
_OLD_HEADER: Final = 16  # struct ifinfomsg, which `bridge fdb show` used to send
_ADDRESS_SIZE: Final = 6
_TICK_NS: Final = 10_000_000
_ENTRY_COST: Final = 4000  # instructions
_LOOK_COST: Final = 30
_NOBODY: Final[bytes] = bytes(6)
_VLAN: Final[bytes] = b"\1\0"  # the number of the only one that a bridge has


def _state_of(bridge: BridgeDevice, entry: Entry) -> int:
    if entry.is_local:
        return _PERMANENT
    if entry.is_static:
        return _NOARP
    return _STALE if bridge.table.has_expired(entry, monotonic_ns()) else _REACHABLE


def put_entry(writer: MessageWriter, bridge: BridgeDevice, entry: Entry, kind: int, where: int = PLAIN) -> None:
    """Write the message about a bridge's entry for an address, in one of the lists."""
    device = entry.device
    now_ns = monotonic_ns()
    _begin(writer, kind, bridge if device is None else device, _state_of(bridge, entry))
    writer.u8(_NTF_STICKY if entry.is_sticky else 0)
    writer.u8(0)
    writer.attribute(_NDA_LLADDR, entry.address)
    writer.attribute_u32(_NDA_MASTER, bridge.index)
    writer.attribute_u32(_NDA_FLAGS_EXT, 0)
    place = writer.begin_attribute(_NDA_CACHEINFO)
    writer.u32(0)
    writer.u32((now_ns - entry.used_ns) // _TICK_NS)
    writer.u32((now_ns - entry.updated_ns) // _TICK_NS)
    writer.u32(0)
    writer.end_attribute(place)
    if where == IN_VLAN:
        writer.attribute(_NDA_VLAN, _VLAN)
    writer.end()


def _begin(writer: MessageWriter, kind: int, device: NetworkDevice, state: int) -> None:
    """A struct ndmsg up to its state."""
    writer.begin(kind)
    writer.u8(AF_BRIDGE)
    writer.u8(0)
    writer.u16(0)
    writer.u32(device.index)
    writer.u16(state)


def _put_own(writer: MessageWriter, device: NetworkDevice) -> None:
    """Write the group addresses that an interface listens to."""
    if device.kind != ARPHRD_ETHER:
        return
    for address in list(device.multicast.keys()):
        _begin(writer, _RTM_NEWNEIGH, device, _PERMANENT)
        writer.u8(_NTF_SELF)
        writer.u8(0)
        writer.attribute(_NDA_LLADDR, address)
        writer.end()
        pace_or_end(_ENTRY_COST)


def dump_entries(network: Network, writer: MessageWriter, raw: bytes) -> None:
    """Write all entries, or those of one bridge, or of one interface, as the request `raw` says. May sleep."""
    master = 0
    index = 0
    length = len(raw) - HEADER_SIZE
    if length >= _OLD_HEADER and length != _HEADER + 8:
        index = int.from_bytes(raw[HEADER_SIZE + 4 : HEADER_SIZE + 8], "little")
        attribute = find_attribute(raw, HEADER_SIZE + _OLD_HEADER, _IFLA_MASTER)
        master = int.from_bytes(attribute[:4], "little") if len(attribute) >= 4 else 0
    elif length == _HEADER + 8:
        index = int.from_bytes(raw[HEADER_SIZE + 4 : HEADER_SIZE + 8], "little")
        attribute = find_attribute(raw, HEADER_SIZE + _HEADER, _NDA_MASTER)
        master = int.from_bytes(attribute[:4], "little") if len(attribute) >= 4 else 0
    if master != 0 and not isinstance(device_by_index(network, master), BridgeDevice):
        raise Errno(ENODEV)
    for device in network.devices[:]:
        if device.network is not network or (index != 0 and device.index != index):
            continue
        port = port_of(device)
        bridge = device if isinstance(device, BridgeDevice) else None if port is None else port.bridge
        if master != 0 and (bridge is None or bridge.index != master):
            continue
        if port is not None and bridge is not None:
            _dump_behind(writer, bridge, device)
        _put_own(writer, device)
        if port is None and bridge is not None:
            _dump_behind(writer, bridge, None)


def _dump_behind(writer: MessageWriter, bridge: BridgeDevice, device: NetworkDevice | None) -> None:
    """Write the entries of a bridge's port, or its own."""
    for entry in list(bridge.table.entries.values()):
        if entry.device is device and not entry.is_gone and bridge.table.bridge is not None:
            for where in (PLAIN, IN_VLAN):
                if entry.lists & where != 0:
                    put_entry(writer, bridge, entry, _RTM_NEWNEIGH, where)
                    writer.cut()
                    pace_or_end(_ENTRY_COST)
    pace_or_end(len(bridge.table.entries) * _LOOK_COST)


def _named(request: Request) -> tuple[NetworkDevice, bytes]:
    """The interface and the link address that a request is about. Raises EINVAL, ENODEV."""
    header = request.payload(_HEADER)
    index = header.load_u32(4)
    if index == 0:
        raise Errno(EINVAL)
    device = device_by_index(request.network, index & 0x7FFF_FFFF)
    if device is None:
        raise Errno(ENODEV)
    address = request.attribute(_NDA_LLADDR)
    if len(address) != _ADDRESS_SIZE or device.kind != ARPHRD_ETHER:
        raise Errno(EINVAL)
    vlan = request.attribute(_NDA_VLAN)
    if len(vlan) > 0:
        raise Errno(EINVAL)  # no port has any
    return device, address


def _to_bridge(device: NetworkDevice, flags: int) -> tuple[BridgeDevice, BridgePort | None]:
    """The bridge that a request means, and the port unless it is about the bridge's own. Raises EOPNOTSUPP."""
    port = port_of(device)
    if port is not None and (flags == 0 or flags & _NTF_MASTER != 0):
        bridge = port.bridge
        if bridge is not None:
            return bridge, port
    if isinstance(device, BridgeDevice) and flags & _NTF_SELF != 0:
        return device, None
    raise Errno(EOPNOTSUPP)


def new_entry(request: Request) -> None:
    """RTM_NEWNEIGH. Raises EINVAL, ENODEV, EOPNOTSUPP, EPERM, ENOENT, EEXIST, ENOSPC, MemoryError."""
    device, address = _named(request)
    header = request.payload(_HEADER)
    flags = header[10]
    bridge, port = _to_bridge(device, flags)
    state = header.load_u16(8)
    if flags & (_NTF_USE | _NTF_EXT_LEARNED) != 0:
        raise Errno(EOPNOTSUPP)
    if state & (_PERMANENT | _NOARP | _REACHABLE) == 0 or address == _NOBODY:
        raise Errno(EINVAL)
    if port is not None and state & (_PERMANENT | _NOARP) == 0:
        now = port.state()
        if now != STATE_LEARNING and now != STATE_FORWARDING:
            raise Errno(EPERM)
    if port is None and state & _PERMANENT == 0:
        raise Errno(EINVAL)
    is_sticky = flags & _NTF_STICKY != 0
    if is_sticky and state & _PERMANENT != 0:
        raise Errno(EINVAL)
    _enter(request, bridge, port, address, state, is_sticky=is_sticky)


def _enter(
    request: Request, bridge: BridgeDevice, port: BridgePort | None, address: bytes, state: int, *, is_sticky: bool
) -> None:
    table = bridge.table
    where = None if port is None else port.device
    entry = table.find(address)
    now_ns = monotonic_ns()
    is_new = entry is None
    if entry is None:
        if not request.has(NLM_F_CREATE):
            raise Errno(ENOENT)
        check_room_to_keep()
        entry = Entry(address, where, now_ns)
        entry.is_static = state & (_PERMANENT | _NOARP) != 0
        table.enter(entry)
    elif request.has(NLM_F_EXCL):
        raise Errno(EEXIST)
    is_changed = is_new or entry.device is not where or _state_of(bridge, entry) != state
    is_changed = is_changed or entry.is_sticky != is_sticky
    entry.device = where
    entry.is_local = state & _PERMANENT != 0
    entry.is_static = state & (_PERMANENT | _NOARP) != 0
    entry.is_sticky = is_sticky
    entry.lists = PLAIN | IN_VLAN
    table.count_no_more(entry)
    entry.used_ns = now_ns
    if is_changed:
        entry.updated_ns = now_ns
        if not entry.is_static:
            table.enter(entry)
        table.tell(entry)


def remove_entry(request: Request) -> None:
    """RTM_DELNEIGH. Raises EINVAL, ENODEV, EOPNOTSUPP, ENOENT."""
    device, address = _named(request)
    bridge, port = _to_bridge(device, request.payload(_HEADER)[10])
    entry = bridge.table.find(address)
    if entry is None or entry.device is not (None if port is None else port.device):
        raise Errno(ENOENT)
    bridge.table.remove_entry(entry)


def get_entry(request: Request, writer: MessageWriter) -> None:
    """RTM_GETNEIGH for one address: of a bridge, NDA_MASTER or the interface's. Raises EINVAL, ENODEV, EOPNOTSUPP,
    ENOENT.
    """
    header: Span[u8] = request.payload(_HEADER)
    address = request.attribute(_NDA_LLADDR)
    if len(address) != _ADDRESS_SIZE:
        raise Errno(EINVAL)
    index = header.load_u32(4)
    master = request.attribute_u32(_NDA_MASTER, 0)
    if index == 0 and master == 0:
        raise Errno(ENODEV)
    device = device_by_index(request.network, (index if index != 0 else master) & 0x7FFF_FFFF)
    if device is None:
        raise Errno(ENODEV)
    port = port_of(device)
    bridge = device if isinstance(device, BridgeDevice) else None if port is None else port.bridge
    if bridge is None or (master != 0 and bridge.index != master):
        raise Errno(EOPNOTSUPP)
    entry = bridge.table.find(address)
    if entry is None:
        raise Errno(ENOENT)
    put_entry(writer, bridge, entry, _RTM_NEWNEIGH)

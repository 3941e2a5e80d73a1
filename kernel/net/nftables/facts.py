"""Expressions about a packet's properties other than its bytes: meta, and setting marks (nft(8) "META EXPRESSIONS").

Properties that only Linux has (groups of interfaces, the class of a route, paths of IPsec) are 0. A packet's
sender is not known here: `skuid` and its neighbours answer EOPNOTSUPP.

Context: as in `expression.py`.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, EOPNOTSUPP, Errno, final
from kernel.lib import random
from kernel.net.link.device import NetworkDevice
from kernel.net.link.ethernet import ETHERTYPE_IP4, ETHERTYPE_IP6
from kernel.net.link.hooks import FAMILY_IP4
from kernel.net.link.packet import PACKET_HOST
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.attributes import Attributes, put32
from kernel.net.nftables.expression import (
    Expression,
    Loader,
    Run,
    put_register,
    read_register,
    register_loader,
    write_register,
)
from kernel.time import realtime_ns

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading

# Keys (NFT_META_*).
_LEN: Final = 0
_PROTOCOL: Final = 1
_PRIORITY: Final = 2
_MARK: Final = 3
_IIF: Final = 4
_OIF: Final = 5
_IIFNAME: Final = 6
_OIFNAME: Final = 7
_IIFTYPE: Final = 8
_OIFTYPE: Final = 9
_SKUID: Final = 10
_SKGID: Final = 11
_NFTRACE: Final = 12
_RTCLASSID: Final = 13
_NFPROTO: Final = 15
_L4PROTO: Final = 16
_PKTTYPE: Final = 19
_CPU: Final = 20
_IIFGROUP: Final = 21
_OIFGROUP: Final = 22
_PRANDOM: Final = 24
_IIFKIND: Final = 26
_OIFKIND: Final = 27
_SECPATH: Final = 25
_TIME_NS: Final = 30
_TIME_DAY: Final = 31
_TIME_HOUR: Final = 32
_SDIF: Final = 33
_SDIFNAME: Final = 34

_CHANGING: Final = (_PRANDOM, _TIME_NS, _TIME_DAY, _TIME_HOUR)  # two reads may give different values
_NAME: Final = 16  # bytes
_SECOND_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400
_THURSDAY: Final = 4  # 1 January 1970
_SET_PKTTYPE_LIMIT: Final = 4


def _length_of(key: int) -> int:
    """The size in bytes of a key's value; 0 for an unknown key."""
    if key == _PROTOCOL or key == _IIFTYPE or key == _OIFTYPE:
        return 2
    if key == _NFPROTO or key == _L4PROTO or key == _PKTTYPE or key == _TIME_DAY or key == _SECPATH:
        return 1
    if key == _IIFNAME or key == _OIFNAME or key == _IIFKIND or key == _OIFKIND or key == _SDIFNAME:
        return _NAME
    if key == _TIME_NS:
        return 8
    known = (_LEN, _PRIORITY, _MARK, _IIF, _OIF, _RTCLASSID, _CPU, _IIFGROUP, _OIFGROUP, _PRANDOM, _TIME_HOUR, _SDIF)
    return 4 if key in known else 0


@final
class MetaRead(Expression):
    """Load a property into a register."""

    def __init__(self, place: int, key: int) -> None:
        self.place: int = place
        self.key: int = key

    def name(self) -> bytes:
        return b"meta"

    def evaluate(self, run: Run) -> None:
        key = self.key
        packet = run.packet
        place = self.place
        if key == _L4PROTO:
            if run.place.protocol < 0:
                run.stop()
                return
            run.set_byte(place, run.place.protocol)
        elif key == _NFPROTO:
            run.set_byte(place, run.place.family)
        elif key == _MARK:
            run.set_word(place, packet.mark)
        elif key == _LEN:
            run.set_word(place, packet.end - packet.network_start)
        elif key == _PROTOCOL:
            run.set_short(place, ETHERTYPE_IP4 if run.place.family == FAMILY_IP4 else ETHERTYPE_IP6)
        elif key == _PKTTYPE:
            run.set_byte(place, packet.link_kind if run.place.input is not None else PACKET_HOST)
        elif key == _PRANDOM:
            run.set_word(place, random.word() & 0xFFFF_FFFF)
        elif key == _TIME_NS or key == _TIME_DAY or key == _TIME_HOUR:
            self._read_time(run)
        elif key == _PRIORITY or key == _RTCLASSID or key == _CPU or key == _SECPATH or key == _SDIF:
            run.set_word(place, 0)
        elif key == _SDIFNAME:
            run.set_bytes(place, b"", _NAME)
        else:
            self._read_device(run)

    def is_like(self, other: Expression) -> bool:
        if not isinstance(other, MetaRead) or self.key in _CHANGING:
            return False
        return self.place == other.place and self.key == other.key

    def _read_device(self, run: Run) -> None:
        key = self.key
        is_input = key == _IIF or key == _IIFNAME or key == _IIFTYPE or key == _IIFGROUP or key == _IIFKIND
        device = run.place.input if is_input else run.place.output
        place = self.place
        if key == _IIF or key == _OIF:
            run.set_word(place, 0 if device is None else device.index)
        elif key == _IIFNAME or key == _OIFNAME:
            run.set_bytes(place, b"" if device is None else device.name, _NAME)
        elif device is None:
            run.stop()
        elif key == _IIFTYPE or key == _OIFTYPE:
            run.set_word(place, device.kind)  # in the machine's byte order
        elif key == _IIFGROUP or key == _OIFGROUP:
            run.set_word(place, 0)
        else:
            self._read_kind(run, device)

    def _read_kind(self, run: Run, device: NetworkDevice) -> None:
        if len(device.virtual_kind) == 0:
            run.stop()
            return
        run.set_bytes(self.place, device.virtual_kind, _NAME)

    def _read_time(self, run: Run) -> None:
        now_ns = realtime_ns()
        seconds = now_ns // _SECOND_NS
        if self.key == _TIME_NS:
            run.set_word(self.place, now_ns)
            run.set_word(self.place + 4, now_ns >> 32)
        elif self.key == _TIME_DAY:
            run.set_byte(self.place, (seconds // _DAY_S + _THURSDAY) % 7)
        else:
            run.set_word(self.place, seconds % _DAY_S)

    def put(self, writer: MessageWriter) -> None:
        put32(writer, 2, self.key)
        put_register(writer, 1, self.place)


@final
class MetaWrite(Expression):
    """Set a property from a register."""

    def __init__(self, place: int, key: int) -> None:
        self.place: int = place
        self.key: int = key

    def name(self) -> bytes:
        return b"meta"

    def evaluate(self, run: Run) -> None:
        packet = run.packet
        if self.key == _MARK:
            packet.mark = run.word(self.place)
            run.reroutes = True
        elif self.key == _PKTTYPE:
            kind = run.registers[self.place]
            if kind < _SET_PKTTYPE_LIMIT and packet.link_kind < _SET_PKTTYPE_LIMIT:
                packet.link_kind = kind

    def put(self, writer: MessageWriter) -> None:
        put32(writer, 2, self.key)
        put_register(writer, 3, self.place)


@final
class _MetaLoader(Loader):
    def name(self) -> bytes:
        return b"meta"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(2) or (attributes.has(1) and attributes.has(3)):
            raise Errno(EINVAL)
        key = attributes.be32(2)
        if attributes.has(1):
            length = _length_of(key)
            if length == 0:
                raise Errno(EOPNOTSUPP)
            return MetaRead(write_register(attributes, 1, length), key)
        if not attributes.has(3):
            raise Errno(EINVAL)
        if key == _MARK or key == _PRIORITY:
            length = 4
        elif key == _NFTRACE or key == _PKTTYPE:
            length = 1
        else:
            raise Errno(EOPNOTSUPP)
        return MetaWrite(read_register(attributes, 3, length), key)


register_loader(_MetaLoader())

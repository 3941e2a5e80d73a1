"""A packet as a program of BPF sees it, and whose socket it is for.

A program counts from the first byte that it is shown. By a negative offset a load of classic BPF counts from the link's
or the network's header, which may lie in front of that.

Context: any; making one may raise MemoryError.
Source: Linux's Documentation/networking/filter.rst (SKF_LL_OFF, SKF_NET_OFF), bpf-helpers(7).
"""

from typing import Final

from kernel.lang import final

NOWHERE: Final = -1
_FARTHEST: Final = 0x7FFF_FFFF  # that a helper looks
_FARTHEST_RELATIVE: Final = 0xFFFF
_FROM_NETWORK: Final = -0x10_0000
_FROM_LINK: Final = -0x20_0000
_OF_LINK: Final = 0  # BPF_HDR_START_MAC
_OF_NETWORK: Final = 1
NOBODY: Final = 65534  # whose socket a packet is that is for none


@final
class PacketView:
    """Bytes `start` to `end` of a storage."""

    def __init__(self, storage: bytearray, start: int, end: int) -> None:
        self.storage: bytearray = storage
        self.start: int = start
        self.end: int = end
        self.link_start: int = NOWHERE  # in `storage`
        self.network_start: int = NOWHERE
        self.cookie: int = 0  # of the socket; 0: there is none
        self.uid: int = NOBODY

    def _checked(self, place: int, size: int) -> int:
        return place if 0 <= place and place + size <= self.end else NOWHERE

    def place_of(self, offset: int, size: int) -> int:
        """Where in the storage `size` bytes lie for a load of classic BPF, at an offset of 32 bits, signed; NOWHERE if
        they are not all in the packet.
        """
        if offset >= 0:
            return self._checked(self.start + offset, size)
        if offset >= _FROM_NETWORK:
            return self._in(self.network_start, offset - _FROM_NETWORK, size)
        if offset >= _FROM_LINK:
            return self._in(self.link_start, offset - _FROM_LINK, size)
        return NOWHERE

    def _in(self, header: int, offset: int, size: int) -> int:
        return NOWHERE if header == NOWHERE else self._checked(header + offset, size)

    def place_for_helper(self, offset: int, size: int) -> int:
        """The same for a helper, at an offset of 32 bits that is not signed."""
        return NOWHERE if offset > _FARTHEST else self._checked(self.start + offset, size)

    def place_in_header(self, header: int, offset: int, size: int) -> int:
        """The same from a header on, whose number is a program's."""
        if offset > _FARTHEST_RELATIVE:
            return NOWHERE
        if header == _OF_LINK:
            return self._in(self.link_start, offset, size)
        return self._in(self.network_start, offset, size) if header == _OF_NETWORK else NOWHERE

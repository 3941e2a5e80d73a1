"""The match `owner` of xtables: the user that opened the socket from which a packet is sent.

A packet names its sender only while some rule asks for it (`SENDER_RULES`), so that others pay nothing. Packets that no
program's socket sends (resets, errors, forwarded ones) have no owner.

Context: as in `expression.py`.
Source: iptables-extensions(8); layout: linux/netfilter/xt_owner.h.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, Span, final, span_of, u8
from kernel.lib.credentials import Credentials
from kernel.lib.ids import NO_ID
from kernel.lib.pace import spend
from kernel.lib.socket_group import SENDER_RULES
from kernel.net.link.hooks import OUTPUT, POSTROUTING
from kernel.net.nftables.compat import Extension, Match, Usage, register_match
from kernel.net.nftables.expression import Run
from kernel.task import current_or_none

_USER: Final = 1
_GROUP: Final = 2
_SOCKET: Final = 4
_ALL_GROUPS: Final = 8  # of the owner, not just the first
_KNOWN: Final = 15
_HALVING_COST: Final = 25  # instructions


@final
class _Owner(Match):
    """The users and groups are the kernel's numbers."""

    def __init__(self, info: Span[u8], usage: Usage) -> None:
        """Raises EINVAL for a user or group unknown to the network."""
        super().__init__()
        self.asked: int = info[16]
        self.inverted: int = info[17]
        owner = usage.network.owner
        self.first_user: int = NO_ID
        self.last_user: int = NO_ID
        self.first_group: int = NO_ID
        self.last_group: int = NO_ID
        if self.asked & ~_KNOWN != 0:
            raise Errno(EINVAL)
        asking = current_or_none()
        if self.asked & (_USER | _GROUP) != 0 and asking is not None:
            if asking.credentials.user_namespace is not owner:
                raise Errno(EINVAL)
        if self.asked & _USER != 0:
            self.first_user = int(owner.kernel_uid(info.load_u32(0)))
            self.last_user = int(owner.kernel_uid(info.load_u32(4)))
            _check_range(info.load_u32(0), info.load_u32(4), self.first_user, self.last_user)
        if self.asked & _GROUP != 0:
            self.first_group = int(owner.kernel_gid(info.load_u32(8)))
            self.last_group = int(owner.kernel_gid(info.load_u32(12)))
            _check_range(info.load_u32(8), info.load_u32(12), self.first_group, self.last_group)

    def start(self) -> None:
        super().start()
        SENDER_RULES.count += 1

    def finish(self) -> None:
        SENDER_RULES.count -= 1
        super().finish()

    def holds(self, run: Run) -> bool:
        sender = run.packet.sender
        if sender is None:
            return self.asked == self.inverted
        if self.asked & self.inverted & _SOCKET != 0:
            return False
        if self.asked & _USER != 0:
            is_meant = self.first_user <= int(sender.fsuid) <= self.last_user
            if is_meant == (self.inverted & _USER != 0):
                return False
        return self.asked & _GROUP == 0 or self._has_group(sender) != (self.inverted & _GROUP != 0)

    def _has_group(self, sender: Credentials) -> bool:
        if self.first_group <= int(sender.fsgid) <= self.last_group:
            return True
        if self.asked & _ALL_GROUPS != 0:
            # They are sorted: find the first one that is not below the range.
            low = 0
            high = len(sender.groups)
            while low < high:
                middle = (low + high) // 2
                spend(_HALVING_COST)
                if int(sender.groups[middle]) < self.first_group:
                    low = middle + 1
                else:
                    high = middle
            return low < len(sender.groups) and int(sender.groups[low]) <= self.last_group
        return False


def _check_range(first: int, last: int, first_known: int, last_known: int) -> None:
    """Check a range of numbers, as the program and as the kernel numbers them: NO_ID for none. Raises EINVAL."""
    if first_known == NO_ID or last_known == NO_ID or last < first or last_known < first_known:
        raise Errno(EINVAL)


def _decode_owner(info: bytes, usage: Usage) -> Extension:
    return _Owner(span_of(info), usage)


register_match(b"owner", 1, 20, _decode_owner).points = 1 << OUTPUT | 1 << POSTROUTING

"""Targets of xtables that translate: SNAT, DNAT, MASQUERADE, REDIRECT, NETMAP. They are for the table `nat`, in chains
of type nat.

Context: as in `expression.py`.
Source: iptables-extensions(8); layouts: linux/netfilter/nf_nat.h.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, final, noinline, span_of
from kernel.lib.pace import spend
from kernel.net.filter.translation import (
    NAT_ADDRESSES,
    NatRequest,
    masquerade,
    redirect,
    set_up_nat,
)
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6, INPUT, OUTPUT, POSTROUTING, PREROUTING, Verdict
from kernel.net.nftables.compat import Extension, Kind, Usage, register_target
from kernel.net.nftables.expression import Run
from kernel.net.nftables.model import ACCEPT, DROP

_TRANSLATION_COST: Final = 2000  # instructions
_MOST_FLAGS: Final = 0x7F

# What a target does.
_TO_SOURCE: Final = 0
_TO_DESTINATION: Final = 1
_MASQUERADE: Final = 2
_REDIRECT: Final = 3
_NETMAP: Final = 4


@final
class Goal:
    """The addresses and ports of a rule (struct nf_nat_range2)."""

    def __init__(self) -> None:
        self.flags: int = 0  # NAT_*
        self.first: bytes = b""  # 4 or 16 bytes, of which a packet of IPv4 takes the first 4
        self.last: bytes = b""
        self.first_port: int = 0
        self.last_port: int = 0
        self.base_port: int = 0


def _read_old_goal(info: bytes) -> Goal:
    """Read a struct nf_nat_ipv4_multi_range_compat, which holds one range. Raises EINVAL."""
    span = span_of(info)
    if span.load_u32(0) != 1:
        raise Errno(EINVAL)
    goal = Goal()
    goal.flags = span.load_u32(4) & _MOST_FLAGS
    goal.first = info[8:12]
    goal.last = info[12:16]
    goal.first_port = span.load_be16(16)
    goal.last_port = span.load_be16(18)
    return goal


def _read_goal(info: bytes) -> Goal:
    """Read a struct nf_nat_range, or nf_nat_range2: each end has room for an address of IPv6."""
    span = span_of(info)
    goal = Goal()
    goal.flags = span.load_u32(0) & _MOST_FLAGS
    goal.first = info[4:20]
    goal.last = info[20:36]
    goal.first_port = span.load_be16(36)
    goal.last_port = span.load_be16(38)
    if len(info) > 40:
        goal.base_port = span.load_be16(40)
    return goal


@final
class _Translate(Extension):
    """A target of this kind."""

    def __init__(self, action: int, goal: Goal) -> None:
        super().__init__()
        self.action: int = action
        self.goal: Goal = goal

    def evaluate(self, run: Run) -> None:
        spend(_TRANSLATION_COST)
        request = self._request(run)
        if self.action == _MASQUERADE:
            verdict = masquerade(run.packet, run.place, request)
        elif self.action == _REDIRECT:
            verdict = redirect(run.packet, run.place, request)
        else:
            verdict = set_up_nat(run.packet, run.place, request)
        run.verdict = ACCEPT if verdict == Verdict.ACCEPT else DROP

    @noinline  # what follows goes deep: nothing of this should lie on the stack then
    def _request(self, run: Run) -> NatRequest:
        place = run.place
        action = self.action
        to_source = action == _TO_SOURCE or action == _MASQUERADE
        if action == _NETMAP:
            to_source = place.point == POSTROUTING or place.point == INPUT
        goal = self.goal
        request = NatRequest(to_source)
        request.flags = goal.flags
        size = 4 if place.family == FAMILY_IP4 else 16  # an inet table sees both
        request.first = goal.first[:size]
        request.last = goal.last[:size]
        request.first_port = goal.first_port
        request.last_port = goal.last_port
        request.base_port = goal.base_port
        if action == _NETMAP:
            old = run.packet.source if to_source else run.packet.destination
            request.first = _mapped(old, request.first, request.last)
            request.last = request.first
        return request


def _mapped(address: bytes, first: bytes, last: bytes) -> bytes:
    """An address with the bits in which the ends of the range agree, and its own others."""
    made = bytearray(first)
    for i in range(min(len(made), len(address))):
        own = first[i] ^ last[i]
        made[i] = first[i] & ~own & 0xFF | address[i] & own
    return bytes(made)


def _made(action: int, goal: Goal) -> Extension:
    """Raises EINVAL if a target that chooses its own address is given one, or NETMAP is given none."""
    has_addresses = goal.flags & NAT_ADDRESSES != 0
    if action == _NETMAP and not has_addresses:
        raise Errno(EINVAL)
    if (action == _MASQUERADE or action == _REDIRECT) and has_addresses:
        raise Errno(EINVAL)
    return _Translate(action, goal)


def _decode_old_source(info: bytes, usage: Usage) -> Extension:
    return _made(_TO_SOURCE, _read_old_goal(info))


def _decode_old_destination(info: bytes, usage: Usage) -> Extension:
    return _made(_TO_DESTINATION, _read_old_goal(info))


def _decode_old_masquerade(info: bytes, usage: Usage) -> Extension:
    return _made(_MASQUERADE, _read_old_goal(info))


def _decode_old_redirect(info: bytes, usage: Usage) -> Extension:
    return _made(_REDIRECT, _read_old_goal(info))


def _decode_old_netmap(info: bytes, usage: Usage) -> Extension:
    return _made(_NETMAP, _read_old_goal(info))


def _decode_source(info: bytes, usage: Usage) -> Extension:
    return _made(_TO_SOURCE, _read_goal(info))


def _decode_destination(info: bytes, usage: Usage) -> Extension:
    return _made(_TO_DESTINATION, _read_goal(info))


def _decode_masquerade(info: bytes, usage: Usage) -> Extension:
    return _made(_MASQUERADE, _read_goal(info))


def _decode_redirect(info: bytes, usage: Usage) -> Extension:
    return _made(_REDIRECT, _read_goal(info))


def _decode_netmap(info: bytes, usage: Usage) -> Extension:
    return _made(_NETMAP, _read_goal(info))


_FOR_SOURCES: Final = 1 << POSTROUTING | 1 << INPUT
_FOR_DESTINATIONS: Final = 1 << PREROUTING | 1 << OUTPUT
_OLD_SIZE: Final = 20
_SIZE: Final = 40
_NEW_SIZE: Final = 44


def _at(kind: Kind, points: int) -> None:
    kind.table = b"nat"
    kind.points = points
    kind.tracks = True


_at(register_target(b"SNAT", 0, _OLD_SIZE, _decode_old_source, FAMILY_IP4), _FOR_SOURCES)
_at(register_target(b"SNAT", 1, _SIZE, _decode_source), _FOR_SOURCES)
_at(register_target(b"SNAT", 2, _NEW_SIZE, _decode_source), _FOR_SOURCES)
_at(register_target(b"DNAT", 0, _OLD_SIZE, _decode_old_destination, FAMILY_IP4), _FOR_DESTINATIONS)
_at(register_target(b"DNAT", 1, _SIZE, _decode_destination), _FOR_DESTINATIONS)
_at(register_target(b"DNAT", 2, _NEW_SIZE, _decode_destination), _FOR_DESTINATIONS)
_at(register_target(b"MASQUERADE", 0, _OLD_SIZE, _decode_old_masquerade, FAMILY_IP4), 1 << POSTROUTING)
_at(register_target(b"MASQUERADE", 0, _SIZE, _decode_masquerade, FAMILY_IP6), 1 << POSTROUTING)
_at(register_target(b"REDIRECT", 0, _OLD_SIZE, _decode_old_redirect, FAMILY_IP4), _FOR_DESTINATIONS)
_at(register_target(b"REDIRECT", 0, _SIZE, _decode_redirect, FAMILY_IP6), _FOR_DESTINATIONS)
_at(register_target(b"NETMAP", 0, _OLD_SIZE, _decode_old_netmap, FAMILY_IP4), _FOR_SOURCES | _FOR_DESTINATIONS)
_at(register_target(b"NETMAP", 0, _SIZE, _decode_netmap, FAMILY_IP6), _FOR_SOURCES | _FOR_DESTINATIONS)

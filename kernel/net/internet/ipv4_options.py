"""Options of the IPv4 header (RFC 791 section 3.1, RFC 1122 section 3.2.1.8).

A host also writes into the options of datagrams it receives: its address where a route is recorded, and the time.
Answers carry those options back, and record the route onward.

Context: any.
"""

from typing import Final

from kernel.lang import Span, span_of, u8
from kernel.net.internet.addresses import is_own
from kernel.net.link.network import Network

OPTION_END: Final = 0
OPTION_NOP: Final = 1
OPTION_RECORD_ROUTE: Final = 7
OPTION_TIMESTAMP: Final = 68
OPTION_LOOSE_ROUTE: Final = 131
OPTION_ROUTER_ALERT: Final = 148
OPTION_STRICT_ROUTE: Final = 137


_ROUTE_LEAST: Final = 3  # bytes of a recorded route: its kind, its length, a pointer
_STAMPS_LEAST: Final = 4  # … of time stamps, which have flags as well
_STAMPS_ALONE: Final = 0
_STAMPS_WITH_ADDRESSES: Final = 1
_STAMPS_OF_THE_NAMED: Final = 3  # the sender has listed the hosts whose time it wants

VALID: Final = -1


def _length_at(options: Span[u8], at: int) -> int:
    """The length of the option at `at`, or 0 if it does not fit."""
    if options[at] <= OPTION_NOP:
        return 1
    if at + 1 >= len(options):
        return 0
    length = options[at + 1]
    return length if 2 <= length <= len(options) - at else 0


def has_source_route(options: Span[u8]) -> bool:
    """Whether valid options hold a source route, which no host obeys any more (RFC 7126, section 4.3)."""
    at = 0
    while at < len(options) and options[at] != OPTION_END:
        if options[at] == OPTION_LOOSE_ROUTE or options[at] == OPTION_STRICT_ROUTE:
            return True
        at += _length_at(options, at)
    return False


def fragment_options(options: Span[u8]) -> bytes:
    """The part of options that goes into fragments after the first: those to be copied; others become NOPs. From the
    first invalid one on, which a program or a firewall may have written, they stay as they are.
    """
    result = bytearray(len(options))
    at = 0
    while at < len(options) and options[at] != OPTION_END:
        length = _length_at(options, at)
        if length == 0:
            span_of(result)[at : len(result)].copy_from(options[at : len(options)])
            break
        for i in range(at, at + length):
            result[i] = options[i] if options[at] & 0x80 != 0 else OPTION_NOP
        at += length
    return bytes(result)


def note_passage(network: Network, options: Span[u8], own: bytes, now_ms: int) -> int:
    """Check the options of a received datagram, and record the passage in them: `own`, our address, and the
    time since midnight. Returns VALID, or the offset of the error.
    """
    at = 0
    route_at = -1
    stamps_at = -1
    while at < len(options) and options[at] != OPTION_END:
        kind = options[at]
        length = _length_at(options, at)
        if length == 0:
            return at
        wrong = -1
        if kind == OPTION_RECORD_ROUTE:
            wrong = 0 if route_at >= 0 else _record_route(options[at : at + length], own)
            route_at = at
        elif kind == OPTION_TIMESTAMP:
            wrong = 0 if stamps_at >= 0 else _stamp(network, options[at : at + length], own, now_ms)
            stamps_at = at
        elif kind == OPTION_LOOSE_ROUTE or kind == OPTION_STRICT_ROUTE:
            wrong = 1 if length < 3 else 2 if options[at + 2] < 4 else -1
        elif kind == OPTION_ROUTER_ALERT and length < 4:
            wrong = 1
        if wrong >= 0:
            return at + wrong
        at += length
    return VALID


def _record_route(option: Span[u8], own: bytes) -> int:
    """Write our address into a record route option. Returns VALID, or the offset of the error in it."""
    length = len(option)
    if length < _ROUTE_LEAST:
        return 1
    pointer = option[2]
    if pointer < 4:
        return 2
    if pointer <= length:
        if pointer + 3 > length:
            return 2
        option[pointer - 1 : pointer + 3].copy_from(span_of(own))
        option[2] = pointer + 4
    return VALID


def _stamp(network: Network, option: Span[u8], own: bytes, now_ms: int) -> int:
    """Write the time into a timestamp option. Returns VALID, or the offset of the error in it."""
    length = len(option)
    if length < _STAMPS_LEAST:
        return 1
    pointer = option[2]
    if pointer < 5:
        return 2
    form = option[3] & 0xF
    if pointer > length:
        if form == _STAMPS_OF_THE_NAMED:
            return VALID
        missed = option[3] >> 4
        if missed == 15:
            return 3
        option[3] = form | (missed + 1) << 4
        return VALID
    if pointer + 3 > length:
        return 2
    if form == _STAMPS_ALONE:
        option.store_be32(pointer - 1, now_ms)
        option[2] = pointer + 4
    elif form == _STAMPS_WITH_ADDRESSES or form == _STAMPS_OF_THE_NAMED:
        if pointer + 7 > length:
            return 2
        if form == _STAMPS_WITH_ADDRESSES:
            option[pointer - 1 : pointer + 3].copy_from(span_of(own))
        elif not is_own(network, option[pointer - 1 : pointer + 3].to_bytes()):
            return VALID
        option.store_be32(pointer + 3, now_ms)
        option[2] = pointer + 8
    return VALID


def answer_options(network: Network, options: Span[u8], own: bytes, now_ms: int) -> bytes:
    """The options of an answer to a datagram with these: a recorded route and time stamps, followed by our own where
    there is room; nothing from the first invalid one on. A multiple of 4 bytes. Not all datagrams have passed
    `note_passage`: not those of this host, nor those that a hook refuses, or waits to be complete.
    """
    answer = bytearray()
    for kind in (OPTION_RECORD_ROUTE, OPTION_TIMESTAMP):
        at = 0
        while at < len(options) and options[at] != OPTION_END:
            length = _length_at(options, at)
            if length == 0:
                break
            if options[at] == kind:
                if length < (_ROUTE_LEAST if kind == OPTION_RECORD_ROUTE else _STAMPS_LEAST):
                    break
                start = len(answer)
                answer.extend(options[at : at + length].to_bytes())
                _note_answer(network, span_of(answer)[start : len(answer)], own, now_ms)
            at += length
    while len(answer) & 3 != 0:
        answer.append(OPTION_END)
    return bytes(answer)


def _note_answer(network: Network, option: Span[u8], own: bytes, now_ms: int) -> None:
    """Note in an answer's option that the answer leaves here, if there is room."""
    if option[2] > len(option):
        return
    if option[0] == OPTION_RECORD_ROUTE:
        _record_route(option, own)
    elif option[3] & 0xF != _STAMPS_OF_THE_NAMED or _was_named(network, option):
        _stamp(network, option, own, now_ms)


def _was_named(network: Network, option: Span[u8]) -> bool:
    """Whether the last time stamp in the option was requested from us."""
    pointer = option[2]
    return pointer >= 13 and is_own(network, option[pointer - 9 : pointer - 5].to_bytes())

"""Options of the IPv4 header (RFC 791 section 3.1, RFC 1122 section 3.2.1.8).

Context: any.
"""

from typing import Final

from kernel.lang import Span, u8

OPTION_END: Final = 0
OPTION_NOP: Final = 1
OPTION_RECORD_ROUTE: Final = 7
OPTION_TIMESTAMP: Final = 68
OPTION_LOOSE_ROUTE: Final = 131
OPTION_ROUTER_ALERT: Final = 148
OPTION_STRICT_ROUTE: Final = 137


def _length_at(options: Span[u8], at: int) -> int:
    """The length of the option at `at`, or 0 if it does not fit."""
    if options[at] <= OPTION_NOP:
        return 1
    if at + 1 >= len(options):
        return 0
    length = options[at + 1]
    return length if 2 <= length <= len(options) - at else 0


def are_valid(options: Span[u8]) -> bool:
    """Whether all lengths, and the pointers of those options that have one, lie inside."""
    at = 0
    while at < len(options) and options[at] != OPTION_END:
        length = _length_at(options, at)
        if length == 0:
            return False
        kind = options[at]
        if kind == OPTION_RECORD_ROUTE or kind == OPTION_LOOSE_ROUTE or kind == OPTION_STRICT_ROUTE:
            if length < 3 or options[at + 2] < 4:
                return False
        elif kind == OPTION_TIMESTAMP and (length < 4 or options[at + 2] < 5):
            return False
        at += length
    return True


def has_source_route(options: Span[u8]) -> bool:
    """Whether valid options hold a source route, which no host obeys any more (RFC 7126, section 4.3)."""
    at = 0
    while at < len(options) and options[at] != OPTION_END:
        if options[at] == OPTION_LOOSE_ROUTE or options[at] == OPTION_STRICT_ROUTE:
            return True
        at += _length_at(options, at)
    return False


def fragment_options(options: Span[u8]) -> bytes:
    """What stays of valid options in fragments behind the first: those that are to be copied; others become NOPs."""
    result = bytearray(len(options))
    at = 0
    while at < len(options) and options[at] != OPTION_END:
        length = _length_at(options, at)
        for i in range(at, at + length):
            result[i] = options[i] if options[at] & 0x80 != 0 else OPTION_NOP
        at += length
    return bytes(result)

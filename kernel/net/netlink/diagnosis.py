"""Common parts of the answers of NETLINK_SOCK_DIAG, for all families (sock_diag(7))."""

from typing import Final

BY_FAMILY: Final = 20  # SOCK_DIAG_BY_FAMILY
_WORD: Final = 0xFFFF_FFFF  # twice: any cookie will do


def is_meant(low: int, high: int, cookie: int) -> bool:
    """Whether a socket is the requested one: its cookie distinguishes it from earlier ones with the same addresses."""
    is_any = low == _WORD and high == _WORD
    return is_any or (low == cookie & _WORD and high == cookie >> 32)

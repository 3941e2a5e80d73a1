"""Options of IPv4 headers that nobody has checked: a hook refuses a datagram early, or a program writes its header."""

from __future__ import annotations

import pytest

from kernel.lang import span_of
from kernel.net.internet.ipv4_options import answer_options, fragment_options
from kernel.net.link.network import FIRST_NETWORK

_OWN = bytes([10, 0, 0, 1])
_ROUTE = bytes([7, 7, 4, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("option", [bytes([7, 2]), bytes([68, 2]), bytes([68, 3, 3]), bytes([68, 3, 1])])
def test_options_too_short_for_their_pointer_are_not_answered(option: bytes) -> None:
    options = option + bytes(8 - len(option))
    assert answer_options(FIRST_NETWORK, span_of(options), _OWN, 0) == b""


def test_what_comes_before_an_option_that_is_too_short_is_answered() -> None:
    options = _ROUTE[:7] + bytes([7, 2, 0, 0, 0])
    assert answer_options(FIRST_NETWORK, span_of(options), _OWN, 0) == bytes([7, 7, 8]) + _OWN + bytes(1)


@pytest.mark.parametrize("invalid", [bytes([131, 0]), bytes([7, 1]), bytes([131, 40])])
def test_fragments_have_invalid_options_as_they_are(invalid: bytes) -> None:
    options = bytes([7, 3, 4, 148, 4, 0, 0]) + invalid + bytes([9, 9, 9])
    assert fragment_options(span_of(options)) == bytes([1, 1, 1]) + options[3:]

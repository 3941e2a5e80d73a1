"""Data by the rules of ASN.1, element by element."""

import pytest

from kernel.crypto.asn1 import OCTET_STRING, SEQUENCE, Reader
from kernel.lang import EBADMSG, Errno


def test_elements_have_lengths_of_up_to_two_bytes() -> None:
    reader = Reader(bytes([4, 1, 7, 4, 0x81, 1, 8, 4, 0x82, 0, 1, 9]))
    assert [reader.expect(OCTET_STRING) for _ in range(3)] == [b"\7", b"\10", b"\11"]
    reader.end()


def test_what_has_parts_may_end_with_two_zeros() -> None:
    inner = bytes([0x30, 0x80, 4, 1, 0, 0, 0])
    reader = Reader(bytes([0x30, 0x80]) + inner + bytes([0x1F, 0x81, 1, 1, 5, 0, 0, 4, 0]))
    content = reader.expect(SEQUENCE)
    assert content == inner + bytes([0x1F, 0x81, 1, 1, 5])
    assert reader.expect(OCTET_STRING) == b""
    assert Reader(content).expect(SEQUENCE) == bytes([4, 1, 0])


def test_a_sequence_may_lack_the_bit_that_says_that_it_has_parts() -> None:
    assert Reader(bytes([0x10, 2, 4, 0])).expect(SEQUENCE) == bytes([4, 0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\4",
        b"\4\2x",
        b"\4\x81",
        b"\4\x83\0\0\0",
        b"\x24\0",
        b"\5\0",
        b"\4\x80\0\0",
    ],
)
def test_octets_that_are_no_good_are_refused(data: bytes) -> None:
    with pytest.raises(Errno) as caught:
        Reader(data).expect(OCTET_STRING)
    assert caught.value.code == EBADMSG


@pytest.mark.parametrize("rest", [b"", b"\0", b"\0\1", b"\4\0", b"\4\2\0\0", b"\4\x80\0\0\0\0", b"\x30\x80\0\0"])
def test_an_end_that_is_missing_is_refused(rest: bytes) -> None:
    with pytest.raises(Errno) as caught:
        Reader(b"\x30\x80" + rest).expect(SEQUENCE)
    assert caught.value.code == EBADMSG

"""What certificates are taken, and what they say."""

import pytest

from kernel.keys.certificate import Certificate
from kernel.lang import EBADMSG, ENOPKG, Errno

ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
P256 = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
CONSTRAINTS = bytes.fromhex("0603551d13")
COMMON_NAME = bytes.fromhex("0603550403")
VALIDITY = b"\x17\x0d260101000000Z\x17\x0d270101000000Z"


def element(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    head = bytes([tag, size]) if size < 128 else bytes([tag, 0x82, size >> 8, size & 255])
    return head + content


def name(text: bytes) -> bytes:
    return element(0x30, element(0x31, element(0x30, COMMON_NAME, element(12, text))))


def certificate(*extensions: bytes, subject: bytes = name(b"somebody"), algorithm: bytes = ECDSA_WITH_SHA256) -> bytes:
    """One that somebody else has signed, so nobody checks the signature."""
    key = element(0x30, P256, element(3, b"\0\4" + bytes(64)))
    more = element(0xA3, element(0x30, *extensions)) if len(extensions) > 0 else b""
    body = element(2, b"\1") + algorithm + name(b"issuer") + element(0x30, VALIDITY) + subject + key + more
    return element(0x30, element(0x30, body), algorithm, element(3, b"\0signature"))


def constraints(value: str) -> bytes:
    return element(0x30, CONSTRAINTS, element(4, bytes.fromhex(value)))


def error_of(data: bytes) -> int:
    try:
        Certificate(data)
    except Errno as error:
        return error.code
    return 0


@pytest.mark.parametrize("value", ["3000", "30030101ff", "30060101ff020100"])
def test_a_subject_may_sign_or_has_no_constraints(value: str) -> None:
    assert error_of(certificate(constraints(value))) == 0


@pytest.mark.parametrize("value", ["", "30", "3001ff", "3003010100", "3003020101", "3003010101", "30040101ff"])
def test_other_constraints_are_refused(value: str) -> None:
    assert error_of(certificate(constraints(value))) == EBADMSG


def test_an_unknown_algorithm_is_not_supported() -> None:
    assert error_of(certificate(algorithm=bytes.fromhex("300406022a03"))) == ENOPKG


def test_a_certificate_says_who_it_is_about() -> None:
    found = Certificate(certificate())
    assert found.title == b"somebody"
    assert found.key.algorithm == b"ecdsa-nist-p256"
    assert found.number == b"\1" + name(b"issuer")[2:]

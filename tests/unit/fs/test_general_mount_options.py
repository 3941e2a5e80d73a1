"""Options that every file system has: what becomes flags, and what the type gets."""

from __future__ import annotations

import pytest

from kernel.fs.constants import MS_DIRSYNC, MS_LAZYTIME, MS_MANDLOCK, MS_RDONLY, MS_SYNCHRONOUS
from kernel.fs.filesystem import FileSystemType
from kernel.fs.general_mount_options import changed_flags, flag_of, is_general, sift
from tests.unit.errors import error_of


def kind_of(
    *, takes_whole: bool = False, refuses_nameless: bool = False, escapes_commas: bool = False
) -> FileSystemType:
    kind = FileSystemType(b"some", None, None, is_for_all=False)
    kind.check_options = None if takes_whole else lambda context, text: None
    kind.refuses_nameless = refuses_nameless
    kind.escapes_commas = escapes_commas
    return kind


@pytest.mark.parametrize(("setting", "clearing", "flag"), [
    (b"ro", b"rw", MS_RDONLY), (b"sync", b"async", MS_SYNCHRONOUS), (b"lazytime", b"nolazytime", MS_LAZYTIME),
    (b"mand", b"nomand", MS_MANDLOCK),
])  # fmt: skip
def test_the_last_of_two_that_contradict_counts(setting: bytes, clearing: bytes, flag: int) -> None:
    assert flag_of(setting) == flag_of(clearing) == flag
    assert changed_flags(MS_DIRSYNC, setting) == MS_DIRSYNC | flag
    assert changed_flags(MS_DIRSYNC | flag, clearing) == MS_DIRSYNC
    assert sift(kind_of(), b"", 0, setting + b"," + clearing).flags == 0
    assert sift(kind_of(), b"", flag, clearing + b"," + setting).flags == flag


def test_what_is_not_general() -> None:
    assert is_general(b"dirsync") and flag_of(b"dirsync") == MS_DIRSYNC
    for name in (b"nodirsync", b"noatime", b"nosuid", b"RO", b"", b"source"):  # some are flags of the mount
        assert not is_general(name) and flag_of(name) == 0 and changed_flags(7, name) == 7


def test_the_type_gets_the_rest_in_order() -> None:
    sifted = sift(kind_of(), b"dev", MS_SYNCHRONOUS, b"size=1m,ro,mode=700,ro=x,,uid=0")
    assert sifted.rest == b"size=1m,mode=700,uid=0"
    assert sifted.flags == MS_SYNCHRONOUS | MS_RDONLY and sifted.source == b"dev"


def test_a_type_that_takes_its_text_whole() -> None:
    sifted = sift(kind_of(takes_whole=True), b"", MS_RDONLY, b"rw,source=a,,=b")
    assert (sifted.rest, sifted.flags, sifted.source) == (b"rw,source=a,,=b", MS_RDONLY, b"")


def test_options_without_a_name() -> None:
    assert sift(kind_of(), b"", 0, b"=value,a,=").rest == b"a"
    assert sift(kind_of(refuses_nameless=True), b"", 0, b"=value,a,,=").rest == b"=value,a,="


def test_there_is_one_source() -> None:
    assert sift(kind_of(), b"", 0, b"a,source=/dev/vda,b").source == b"/dev/vda"
    assert error_of(sift, kind_of(), b"", 0, b"source") == "EINVAL"
    assert error_of(sift, kind_of(), b"given", 0, b"source=second") == "EINVAL"
    assert error_of(sift, kind_of(), b"", 0, b"source=one,source=two") == "EINVAL"


def test_commas_in_options() -> None:
    text = rb"lowerdir=a\,ro,rw"
    assert sift(kind_of(escapes_commas=True), b"", MS_RDONLY, text).rest == rb"lowerdir=a\,ro"
    assert sift(kind_of(), b"", 0, text).flags == 0 and sift(kind_of(), b"", 0, text).rest == b"lowerdir=a\\"

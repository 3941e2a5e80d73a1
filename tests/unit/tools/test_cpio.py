"""Archives for initial RAM disks: they fill whole pages, however they are put together."""

from __future__ import annotations

import pytest

from tools.cpio import PAGE, Archive, compress, extend, extended, members


def archive(size: int) -> Archive:
    result = Archive()
    result.file("file", b"x" * size)
    return result


@pytest.mark.parametrize("size", [0, 100, 3_800, 4_000, 70_001])
def test_archives_fill_pages(size: int) -> None:
    plain = archive(size).pack()
    assert len(plain) % PAGE == 0
    for given in (plain, plain.rstrip(b"\0"), compress(plain), plain + plain):
        parts = extended(given, archive(size // 2))
        assert sum(len(part) for part in parts) % PAGE == 0


def test_a_plain_archive_is_continued() -> None:
    assert [(name, size) for _, name, size in members(extend(archive(5).pack(), archive(7)))] == \
        [("file", 5), ("file", 7), ("TRAILER!!!", 0)]

"""/sys/kernel/mm/transparent_hugepage: what its files show, and which texts they take."""

from collections.abc import Iterator

import pytest

from kernel.fs.sysfs.large_pages import LargePagesKobject
from kernel.lang import EINVAL, EIO, Errno
from kernel.mm.large_pages import LARGE_PAGES


@pytest.fixture
def files() -> Iterator[LargePagesKobject]:
    """The directory, with Debian's settings before and after."""
    before = LARGE_PAGES.enabled, LARGE_PAGES.effort, LARGE_PAGES.uses_zero_page
    yield LargePagesKobject()
    LARGE_PAGES.enabled, LARGE_PAGES.effort, LARGE_PAGES.uses_zero_page = before


def test_texts(files: LargePagesKobject) -> None:
    assert files.text(b"enabled") == b"[always] madvise never\n"
    assert files.text(b"defrag") == b"always defer defer+madvise [madvise] never\n"
    assert files.text(b"use_zero_page") == b"1\n"
    assert files.text(b"hpage_pmd_size") == b"2097152\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [(b"enabled", b"always madvise never"), (b"defrag", b"always defer defer+madvise madvise never")],
)
def test_each_choice(files: LargePagesKobject, name: bytes, words: bytes) -> None:
    for word in words.split():
        for end in (b"", b"\n"):
            files.store(name, word + end)
            shown = b" ".join(b"[" + other + b"]" if other == word else other for other in words.split())
            assert files.text(name) == shown + b"\n"


@pytest.mark.parametrize("text", [b"\n", b"Always", b" always", b"always ", b"always\n\n", b"alway", b"1", b"[always]"])
def test_what_is_no_choice(files: LargePagesKobject, text: bytes) -> None:
    for name in (b"enabled", b"defrag"):
        before = files.text(name)
        with pytest.raises(Errno) as caught:
            files.store(name, text)
        assert caught.value.code == EINVAL and files.text(name) == before


def test_defer_is_for_defrag_only(files: LargePagesKobject) -> None:
    with pytest.raises(Errno) as caught:
        files.store(b"enabled", b"defer")
    assert caught.value.code == EINVAL


def test_the_others(files: LargePagesKobject) -> None:
    files.store(b"use_zero_page", b"0\n")
    assert files.text(b"use_zero_page") == b"0\n"
    for text in (b"2", b"-1", b"0x1", b" 1"):
        with pytest.raises(Errno) as caught:
            files.store(b"use_zero_page", text)
        assert caught.value.code == EINVAL
    with pytest.raises(Errno) as caught:
        files.store(b"hpage_pmd_size", b"1")
    assert caught.value.code == EIO
    assert [files.mode(name) for name in files.attributes()] == [0o644, 0o644, 0o644, 0o444]

"""Pages of files whose contents are elsewhere, when their memory breaks or is exchanged."""

import pytest

from kernel.fs.constants import O_CREAT, O_RDWR
from kernel.fs.inode import Inode
from kernel.fs.open import open_file
from kernel.fs.remote_file import RemoteContents
from kernel.fs.remote_pages import RemoteHandle, RemotePages
from kernel.lang import EIO, Errno, Span, span_of, u8
from kernel.mm.frames import PAGE_SIZE, Frame, allocate_user_frame, copy_frame, frame_count, frame_span, put_frame
from kernel.mm.objects import Loss
from kernel.sched import mutex
from kernel.sched.thread import Thread
from tests.unit.fs.conftest import World

PAGES = 3


class Elsewhere(RemoteHandle):
    """The contents, and how many pages were written there."""

    def __init__(self) -> None:
        super().__init__(may_read=True, may_write=True)
        self.data = bytearray(b"".join(bytes([ord("a") + page]) * PAGE_SIZE for page in range(PAGES)))
        self.written = 0

    def read_frames(self, offset: int, frames: list[int], filled: int) -> int:
        part = self.data[offset + filled : offset + filled + PAGE_SIZE]
        frame_span(Frame(frames[filled // PAGE_SIZE])).copy_from(span_of(part))
        return len(part)

    def write_page(self, offset: int, source: Span[u8]) -> int:
        self.data[offset : offset + len(source)] = source.to_bytes()
        self.written += 1
        return len(source)

    def size_now(self) -> int:
        return len(self.data)


class Mapped:
    """A file whose pages a test uses as a mapping does."""

    def __init__(self, file: Inode) -> None:
        self.handle = Elsewhere()
        self.contents: RemoteContents[Elsewhere] = RemoteContents()
        pages = self.contents.memory_object(file)
        assert isinstance(pages, RemotePages)
        self.pages = pages
        self.contents.use(self.handle)

    def touch(self, index: int, text: bytes = b"") -> Frame:
        """The frame of a page, with a reference, and with a text if there is one."""
        frame = self.pages.page(index, for_write=text != b"")
        frame_span(frame)[: len(text)].copy_from(span_of(bytearray(text)))
        return frame


@pytest.fixture
def mapped(world: World, monkeypatch: pytest.MonkeyPatch) -> Mapped:
    thread = Thread(b"test")
    monkeypatch.setattr(mutex, "current_thread", lambda: thread)
    return Mapped(open_file(world.root, None, b"/file", O_RDWR | O_CREAT, 0o644).path.inode())


def test_a_clean_page_is_fetched_anew(mapped: Mapped) -> None:
    frame = mapped.touch(1)
    assert mapped.pages.lose_page(1, frame) == Loss.CLEAN
    assert frame_count(frame) == 1
    again = mapped.touch(1)
    assert again != frame and frame_span(again)[0] == ord("b")
    mapped.pages.sync(0, PAGES)


def test_fsync_tells_once_of_what_is_lost_and_sends_the_rest(mapped: Mapped) -> None:
    put_frame(mapped.touch(0, b"kept"))
    frame = mapped.touch(1, b"lost")
    assert mapped.pages.lose_page(1, frame) == Loss.DIRTY
    mapped.contents.write_back()  # as read(2), write(2) and close(2) do
    assert mapped.handle.written == 1 and mapped.handle.data[:4] == b"kept"
    put_frame(mapped.touch(2, b"also"))
    with pytest.raises(Errno) as caught:
        mapped.pages.sync(0, PAGES)
    assert caught.value.code == EIO
    assert mapped.handle.data[2 * PAGE_SIZE : 2 * PAGE_SIZE + 4] == b"also"
    mapped.pages.sync(0, PAGES)
    assert mapped.handle.data[PAGE_SIZE] == ord("b")


def test_what_others_use_stays(mapped: Mapped) -> None:
    frame = mapped.touch(1, b"kept")
    assert mapped.touch(1) == frame  # somebody else's reference
    assert mapped.pages.lose_page(1, frame) == Loss.REFUSED
    put_frame(frame)
    assert mapped.pages.lose_page(0, frame) == Loss.REFUSED  # another page's
    assert mapped.pages.resident(1) == frame
    mapped.pages.sync(0, PAGES)
    assert mapped.handle.data[PAGE_SIZE : PAGE_SIZE + 4] == b"kept"


def test_a_page_lies_elsewhere_and_is_sent_from_there(mapped: Mapped) -> None:
    frame = mapped.touch(1, b"first")
    other = allocate_user_frame()
    copy_frame(other, frame)
    assert not mapped.pages.move_page(0, frame, other)
    assert mapped.pages.move_page(1, frame, other)
    assert frame_count(frame) == 1 and frame_count(other) == 2
    assert mapped.pages.resident(1) == other
    frame_span(other)[:5].copy_from(span_of(bytearray(b"later")))
    mapped.pages.sync(0, PAGES)
    assert mapped.handle.data[PAGE_SIZE : PAGE_SIZE + 5] == b"later"


def test_nothing_is_taken_while_the_lock_is_held(mapped: Mapped) -> None:
    frame = mapped.touch(1)
    other = allocate_user_frame()
    assert not mapped.pages.settle_page(1)
    mapped.pages._take_lock()
    assert mapped.pages.lose_page(1, frame) == Loss.REFUSED
    assert not mapped.pages.move_page(1, frame, other)
    mapped.pages._give_lock()
    assert mapped.pages.move_page(1, frame, other)

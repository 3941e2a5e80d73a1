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
        part = self.data[offset + filled : offset + filled + PAGE_SIZE - filled % PAGE_SIZE]
        within = filled % PAGE_SIZE
        frame_span(Frame(frames[filled // PAGE_SIZE]))[within : within + len(part)].copy_from(span_of(part))
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


def test_what_a_mapping_wrote_beside_a_change_stays(mapped: Mapped) -> None:
    """Another thread writes to a page while a write(2) to other bytes of it is under way at the server."""
    pages = mapped.pages
    pages.acquire()
    put_frame(mapped.touch(0, b"old"))
    put_frame(mapped.touch(1, b"all"))
    frame = mapped.touch(2, b"old")
    mapped.handle.data[100 : 3 * PAGE_SIZE - 100] = b"N" * (3 * PAGE_SIZE - 200)
    frame_span(frame)[PAGE_SIZE - 3 : PAGE_SIZE].copy_from(span_of(bytearray(b"end")))
    mapped.contents.forget(100, 3 * PAGE_SIZE - 100)
    assert pages.resident(1) == 0
    assert frame_span(pages.resident(0))[:4].to_bytes() == b"olda"
    assert frame_span(pages.resident(0))[100:PAGE_SIZE].to_bytes() == b"N" * (PAGE_SIZE - 100)
    mapped.contents.write_back()
    assert mapped.handle.data[:100] == b"old" + b"a" * 97
    assert mapped.handle.data[100 : 3 * PAGE_SIZE - 100] == b"N" * (3 * PAGE_SIZE - 200)
    assert mapped.handle.data[-100:] == b"c" * 97 + b"end"
    put_frame(frame)


def test_a_page_in_which_a_file_ends_by_now(mapped: Mapped) -> None:
    mapped.pages.acquire()
    frame = mapped.touch(1, b"x" * PAGE_SIZE)
    del mapped.handle.data[PAGE_SIZE + 10 :]
    mapped.contents.forget(PAGE_SIZE + 10, 1 << 62)
    assert frame_span(mapped.pages.resident(1)).to_bytes() == b"x" * 10 + bytes(PAGE_SIZE - 10)
    put_frame(frame)


def test_the_last_mapping_ends_while_another_one_comes(mapped: Mapped) -> None:
    """It has named its description already, and waits for its address space."""
    mapped.pages.acquire()
    put_frame(mapped.touch(0))
    mapped.contents.use(mapped.handle)
    mapped.pages.release()
    mapped.pages.acquire()
    assert frame_span(mapped.touch(0))[0] == ord("a")
    mapped.pages.release()
    assert mapped.handle.users == 1


def test_a_handle_lasts_as_long_as_it_is_used(mapped: Mapped) -> None:
    """What is asked of the inode goes through a description's handle; others may close the description meanwhile."""
    mapped.contents.add(mapped.handle)
    before = mapped.handle.users
    for find in (lambda: mapped.contents.any_handle(writes=True), mapped.contents.first_handle):
        handle = find()
        assert handle is mapped.handle and handle.users == before + 1
        handle.release()

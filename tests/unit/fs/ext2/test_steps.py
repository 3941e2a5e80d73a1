"""Operations of several steps, with memory or the disk failing at each place on the way: each is carried out or is not,
e2fsck finds nothing to complain of, and nothing that was freed is lost.
"""

import gc
from collections.abc import Callable

import pytest

from kernel.cache.eviction import drop_clean_pages
from kernel.fs import extended_attributes as attributes
from kernel.fs import names
from kernel.fs.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    O_CREAT,
    O_DIRECTORY,
    O_RDWR,
    O_TMPFILE_BIT,
    RENAME_EXCHANGE,
    RENAME_WHITEOUT,
    S_IFCHR,
    S_IFIFO,
    S_IFMT,
    S_IFREG,
)
from kernel.fs.ext2.block_map import BlockMap
from kernel.fs.ext2.file import Ext2File
from kernel.fs.open import open_file
from kernel.fs.path import FsContext
from kernel.fs.walk import resolve
from kernel.lang import ENOSPC, Errno
from kernel.lib.credentials import Credentials, plain_actor
from kernel.lib.user import KernelBuffer

from .conftest import Mounted, check_image, make_image
from .shortage import Shortage

Mount = Callable[..., Mounted]
Step = Callable[[FsContext], None]
ROOT = plain_actor(Credentials())
OPTIONS = ("-t", "ext2", "-b", "1024", "-N", "128", "-m", "0", "-g", "1024", "-I", "128")
KIB = 1024
FULL = 55  # names of 200 bytes: each block of a directory is full


def _write(context: FsContext, name: bytes, *offsets: int) -> None:
    file = open_file(context, None, name, O_RDWR | O_CREAT, 0o600)
    for offset in offsets:
        file.pwrite(KernelBuffer(bytearray(b"data" * 512)), offset)
    file.release()


def _build(context: FsContext) -> None:
    for name in (b"/a", b"/b", b"/a/inner", b"/b/empty", b"/full"):
        names.make_directory(context, None, name, 0o700)
    for index in range(FULL):
        names.make_node(context, None, b"/full/" + b"%03d" % index + b"n" * 197, S_IFIFO | 0o600, 0)
    _write(context, b"/a/file", 0, 20 * KIB, 300 * KIB, 70_000 * KIB)
    _write(context, b"/b/other", 0)
    names.make_symlink(context, None, b"/a/long", b"t" * 90)
    names.make_link(context, resolve(context, None, b"/b/other", 0), None, b"/b/linked")


def _unnamed(context: FsContext) -> None:
    file = open_file(context, None, b"/a", O_RDWR | O_TMPFILE_BIT | O_DIRECTORY, 0o600)
    try:
        file.write(KernelBuffer(bytearray(3000)))
        names.make_link(context, file.path, None, b"/full/" + b"l" * 200)
    finally:
        file.release()


def _truncate(context: FsContext) -> None:
    resolve(context, None, b"/a/file", 0).inode().truncate(20 * KIB + 100)


def _punch(context: FsContext) -> None:
    inode = resolve(context, None, b"/a/file", 0).inode()
    inode.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 500, 300 * KIB + 700)


def _attribute(size: int) -> Step:
    def put(context: FsContext) -> None:
        attributes.put(ROOT, resolve(context, None, b"/a/file", 0).inode(), b"user.a", b"v" * size, 0)

    return put


def _rename(old: bytes, new: bytes, flags: int = 0) -> Step:
    return lambda context: names.rename(context, None, old, None, new, flags)


STEPS: dict[str, Step] = {
    "rename": _rename(b"/a/file", b"/b/new"),
    "rename_over": _rename(b"/a/file", b"/b/other"),
    "rename_within": _rename(b"/a/file", b"/a/f"),
    "rename_to_new_block": _rename(b"/a/file", b"/full/" + b"x" * 200),
    "rename_directory": _rename(b"/a/inner", b"/b/inner"),
    "rename_directory_over": _rename(b"/a/inner", b"/b/empty"),
    "rename_directory_to_new_block": _rename(b"/a/inner", b"/full/" + b"x" * 200),
    "whiteout": _rename(b"/a/file", b"/b/new", RENAME_WHITEOUT),
    "exchange": _rename(b"/a/file", b"/b/other", RENAME_EXCHANGE),
    "exchange_directories": _rename(b"/a/inner", b"/b/empty", RENAME_EXCHANGE),
    "exchange_kinds": _rename(b"/a/inner", b"/b/other", RENAME_EXCHANGE),
    "link": lambda context: names.make_link(
        context, resolve(context, None, b"/a/file", 0), None, b"/full/" + b"l" * 200
    ),
    "unlink": lambda context: names.unlink(context, None, b"/a/file"),
    "unlink_one_of_two": lambda context: names.unlink(context, None, b"/b/linked"),
    "mkdir": lambda context: _drop(names.make_directory(context, None, b"/full/" + b"d" * 200, 0o700)),
    "rmdir": lambda context: names.remove_directory(context, None, b"/b/empty"),
    "mknod": lambda context: _drop(names.make_node(context, None, b"/a/fifo", S_IFIFO | 0o600, 0)),
    "symlink": lambda context: names.make_symlink(context, None, b"/a/link", b"t" * 90),
    "unnamed": _unnamed,
    "create": lambda context: _write(context, b"/full/" + b"c" * 200, 0, 20 * KIB, 300 * KIB),
    "truncate": _truncate,
    "punch": _punch,
    "attribute": _attribute(300),
}


def _drop(_: object) -> None:
    """What came back is of no use."""


@pytest.mark.parametrize("lacking", [1, 10_000])
@pytest.mark.parametrize("step", STEPS)
def test_memory_lacks(mount: Mount, monkeypatch: pytest.MonkeyPatch, step: str, lacking: int) -> None:
    _walk(mount, Shortage(monkeypatch), STEPS[step], lacking)


# Without what frees blocks: where the disk fails while they are being freed they are lost, as on Linux.
@pytest.mark.parametrize(
    "step", ["exchange", "exchange_directories", "exchange_kinds", "link", "rename", "rename_directory"]
)
def test_the_disk_fails(mount: Mount, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    _walk(mount, Shortage(monkeypatch, is_disk=True), STEPS[step], 1)


def _exists(context: FsContext, name: bytes) -> bool:
    try:
        resolve(context, None, name, 0)
    except Errno:
        return False
    return True


def test_what_leaves_no_whiteout_stays(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    shortage = Shortage(monkeypatch)
    image = _image(mount)
    nth = tried = failed = 0
    while nth <= tried:
        mounted = mount(bytearray(image))
        drop_clean_pages()
        shortage.arm(nth, 1)
        done = False
        try:
            names.rename(mounted.context, None, b"/a/file", None, b"/full/" + b"x" * 200, RENAME_WHITEOUT)
            done = True
        except (Errno, MemoryError):
            failed += 1
        shortage.counts = False
        tried = tried or shortage.calls
        assert _exists(mounted.context, b"/full/" + b"x" * 200) == done, f"call {nth}"
        kind = S_IFCHR if done else S_IFREG
        assert resolve(mounted.context, None, b"/a/file", 0).inode().mode & S_IFMT == kind, f"call {nth}"
        assert check_image(mounted.unmount()) == "", f"call {nth}"
        nth += 1
    assert failed > 2


def test_a_full_disk_leaves_no_whiteout(mount: Mount) -> None:
    mounted = mount(bytearray(_image(mount)))
    context = mounted.context
    with pytest.raises(Errno):
        for index in range(1000):  # until there are no more inodes
            names.make_node(context, None, b"/%d" % index, S_IFIFO | 0o600, 0)
    with pytest.raises(Errno) as caught:
        names.rename(context, None, b"/a/file", None, b"/b/new", RENAME_WHITEOUT)
    assert caught.value.code == ENOSPC
    assert resolve(context, None, b"/a/file", 0).inode().mode & S_IFMT == S_IFREG
    assert not _exists(context, b"/b/new")
    assert check_image(mounted.unmount()) == ""


_built: list[bytes] = []


def _image(mount: Mount) -> bytes:
    """A disk with the files that the steps are about, made once."""
    if not _built:
        mounted = mount(make_image(4096, *OPTIONS))
        _build(mounted.context)
        _built.append(bytes(mounted.unmount()))
    return _built[0]


def _walk(mount: Mount, shortage: Shortage, step: Step, lacking: int) -> None:
    image = _image(mount)
    nth = tried = 0
    failed = 0
    while nth <= tried:  # the first time nothing fails
        mounted = mount(bytearray(image))
        drop_clean_pages()
        shortage.arm(nth, lacking)
        try:
            step(mounted.context)
        except (Errno, MemoryError):
            failed += 1
            assert nth > 0
        shortage.counts = False
        tried = tried or shortage.calls
        assert check_image(mounted.unmount()) == "", f"call {nth}"
        nth += 1 if lacking == 1 else 3
    assert failed > 2


def test_an_inode_that_cannot_be_made_is_no_cycle(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel counts references, so a cycle would stay for ever."""
    mounted = mount(make_image(4096, *OPTIONS))

    def lacks_memory(self: BlockMap, volume: object, ino: int) -> None:
        raise MemoryError

    gc.collect()
    gc.disable()
    try:
        monkeypatch.setattr(BlockMap, "__init__", lacks_memory)
        try:
            _write(mounted.context, b"/file", 0)
        except MemoryError:
            pass
        assert not [each for each in gc.get_objects() if isinstance(each, Ext2File)]
    finally:
        gc.enable()

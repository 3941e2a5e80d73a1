"""Random operations on ext2 and on tmpfs must have the same results and errors; e2fsck must like what ext2 left.

tmpfs is the model: it is simple, and tested by itself against Linux.
"""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.fs.attributes import change_mode, change_owner, truncate_path
from kernel.fs.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    O_CREAT,
    O_RDONLY,
    O_RDWR,
    O_TMPFILE,
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    S_IFCHR,
    S_IFIFO,
)
from kernel.fs.dentry import CACHE
from kernel.fs.file import File
from kernel.fs.mounts import attach_root
from kernel.fs.names import (
    make_directory,
    make_link,
    make_node,
    make_symlink,
    remove_directory,
    rename,
    unlink,
)
from kernel.fs.open import open_file
from kernel.fs.path import FsContext
from kernel.fs.tmpfs.filesystem import new_tmpfs
from kernel.fs.walk import resolve
from kernel.lang import Errno
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.user import KernelBuffer

from .conftest import Listing, Mounted, check_image, make_image, start_machine

NAMES = [b"a", b"b", b"c", b"dir", b"a long name that needs more room than others do " + b"x" * 60]
EXAMPLES = int(os.environ.get("KRAIT_EXT2_EXAMPLES", "25"))


def operation(world: FsContext, opened: dict[int, File], kind: str, first: bytes, second: bytes, number: int) -> object:
    """Carry one operation out; what it says, or its error."""
    try:
        return _operate(world, opened, kind, first, second, number)
    except Errno as error:
        return f"errno {error.code}"


def _operate(world: FsContext, opened: dict[int, File], kind: str, first: bytes, second: bytes, number: int) -> object:
    if kind == "mkdir":
        make_directory(world, None, first, 0o750)
    elif kind == "write":
        file = open_file(world, None, first, O_RDWR | O_CREAT, 0o640)
        try:
            return file.pwrite(KernelBuffer(bytearray(second * (number % 97))), number)
        finally:
            file.release()
    elif kind == "read":
        file = open_file(world, None, first, O_RDONLY, 0)
        try:
            if file.inode.is_directory():
                sink = Listing()
                file.read_directory(sink)
                # Without file types in names, dots have none either.
                return sorted((name, what) for name, _, what in sink.entries if name not in (b".", b".."))
            buffer = KernelBuffer(bytearray(50000))
            count = file.pread(buffer, number // 2)
            return bytes(buffer.storage[:count])
        finally:
            file.release()
    elif kind == "truncate":
        truncate_path(world, resolve(world, None, first, 1), number)
    elif kind == "punch":
        inode = resolve(world, None, first, 1).inode()
        inode.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, number, len(second) * 300)
    elif kind == "unlink":
        unlink(world, None, first)
    elif kind == "rmdir":
        remove_directory(world, None, first)
    elif kind == "rename":
        rename(world, None, first, None, second, (0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE)[number % 4])
    elif kind == "link":
        make_link(world, resolve(world, None, first, 0), None, second)
    elif kind == "symlink":
        make_symlink(world, None, first, (second * (number % 12 + 1))[:1000])
    elif kind == "mknod":
        make_node(world, None, first, (S_IFCHR if number % 2 else S_IFIFO) | 0o600, number)
    elif kind == "chmod":
        place = resolve(world, None, first, 0)
        change_mode(world, place.mount, place.inode(), number & 0o7777)
        change_owner(world, place.mount, place.inode(), KernelUid(number), KernelGid(number * 3))
    elif kind == "stat":
        inode = resolve(world, None, first, 0).inode()
        size = inode.size if inode.is_regular() or inode.is_symlink() else 0
        text = inode.read_link() if inode.is_symlink() else b""
        return (inode.mode, inode.uid, inode.gid, inode.nlink, size, inode.rdev, text)
    elif kind == "open":
        if number % 4 not in opened:
            file = open_file(world, None, first, O_RDWR | O_TMPFILE if number % 3 == 0 else O_RDWR, 0o600)
            opened[number % 4] = file
    elif kind == "use":
        held = opened.get(number % 4)
        if held is not None:
            held.pwrite(KernelBuffer(bytearray(first * 40)), number)
            return held.inode.size
    elif kind == "close":
        held = opened.pop(number % 4, None)
        if held is not None:
            held.release()
    return None


OPERATIONS = [
    "mkdir", "write", "write", "read", "truncate", "punch", "unlink", "rmdir", "rename", "rename", "link",
    "symlink", "mknod", "chmod", "stat", "stat", "open", "use", "close", "forget",
]  # fmt: skip
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(lambda parts: b"/" + b"/".join(parts))
steps = st.lists(st.tuples(st.sampled_from(OPERATIONS), paths, paths, st.integers(0, 40000)), min_size=5, max_size=60)
Steps = list[tuple[str, bytes, bytes, int]]


def tree(world: FsContext, place: bytes = b"") -> dict[bytes, object]:
    """Everything below a directory."""
    found: dict[bytes, object] = {}
    names = operation(world, {}, "read", place or b"/", b"", 0)
    assert isinstance(names, list)
    for name, _ in names:
        if name in (b".", b"..", b"lost+found"):
            continue
        path = place + b"/" + name
        status = operation(world, {}, "stat", path, b"", 0)
        assert isinstance(status, tuple)
        found[path] = status
        kind = status[0] & 0o170000
        if kind == 0o040000:
            found |= tree(world, path)
        elif kind == 0o100000:
            found[path] = (status, operation(world, {}, "read", path, b"", 0))
    return found


def run(options: tuple[str, ...], operations: Steps, inode_limit: int) -> None:
    start_machine()
    image = make_image(2048, *options)
    mounted = Mounted(image)
    mounted.fs.inode_limit = inode_limit
    disk = mounted.context
    model = attach_root(new_tmpfs(b"tmpfs", b"model", b"mode=755,size=64m,nr_inodes=10000"), Credentials())
    for name in NAMES:
        for world in (disk, model):
            operation(world, {}, "mkdir" if name in (b"dir", b"a") else "write", b"/" + name, b"some text", 50)
    disk_files: dict[int, File] = {}
    model_files: dict[int, File] = {}
    for step in operations:
        if step[0] == "forget":
            # Names are read from the disk again; so is every inode that nobody uses.
            CACHE.shrink(100)
            continue
        ours = operation(disk, disk_files, *step)
        assert ours == operation(model, model_files, *step), step
    for opened in (disk_files, model_files):
        for file in opened.values():
            file.release()
    before = tree(disk)
    assert before == tree(model)
    image = mounted.unmount()
    problems = check_image(image)
    assert problems == "", problems
    start_machine()
    assert tree(Mounted(image, read_only=True).context) == before


@given(steps)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES == 25)
def test_small_blocks(operations: Steps) -> None:
    run(("-t", "ext2", "-b", "1024", "-g", "512", "-O", "^resize_inode"), operations, 1000)


@given(steps)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES == 25)
def test_page_sized_blocks(operations: Steps) -> None:
    run(("-t", "ext2", "-b", "4096", "-I", "128", "-O", "^filetype"), operations, 2)

"""Path walks: from a name to a place in the tree (path_resolution(7)).

One loop without recursion: a symbolic link's text replaces the component that named it. The order of errors
is Linux's: before a component is looked at, what leads to it must be a directory (ENOTDIR) and searchable (EACCES);
then the name's length (ENAMETOOLONG), then its existence (ENOENT).

File systems that sleep (`FileSystem.sleeps`): a walk pins the place where it is while it sleeps, so that neither the
dentry cache nor an unmount takes it away. Names that are not cached are looked up under the file system's lock of
names, which every change of names holds as well: so a name has one dentry, and it is correct. Cached names are found
without the lock, except where others change directories too (`Inode.revalidates`).

Context: may sleep in a file system's `lookup`.
"""

from typing import Final

from kernel.fs.constants import (
    MAX_LINKS,
    MAY_EXEC,
    MS_NOSYMFOLLOW,
    NAME_MAX,
    PROC_SUPER_MAGIC,
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
)
from kernel.fs.dentry import CACHE, Dentry
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext, Mount, Path
from kernel.fs.peers import shows
from kernel.fs.protections import check_following
from kernel.lang import EAGAIN, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV, Errno, inline, noinline

# Flags of `resolve`.
FOLLOW: Final = 1  # follow a symbolic link in the last component
DIRECTORY: Final = 2  # ENOTDIR for anything else
EMPTY_PATH: Final = 4  # an empty name is the base itself
PARENT: Final = 8  # stop before the last component
ENTER: Final = 16  # the last component is wanted for more than a look: let an automounter mount it

# Kinds of last components.
LAST_NORMAL: Final = 0
LAST_DOT: Final = 1
LAST_DOT_DOT: Final = 2
LAST_ROOT: Final = 3  # there was no component, only slashes

_SLASH: Final = ord("/")
_DOT: Final = 46


class Walk:
    """Where a walk is. After a walk to the parent, `last` is the remaining component and `kind` its kind."""

    def __init__(self, context: FsContext, base: Path) -> None:
        self.context: FsContext = context
        self.mount: Mount = base.mount
        self.dentry: Dentry = base.dentry
        self.links: int = 0
        self.last: bytes = b""
        self.kind: int = LAST_ROOT
        self.trailing_slash: bool = False
        self.goes_in: bool = True  # the component that is looked at is wanted for more than a look

    def path(self) -> Path:
        return Path(self.mount, self.dentry)

    def directory(self) -> Inode:
        """The inode of the place that was reached."""
        inode = self.dentry.inode
        if inode is None:
            raise Errno(ENOENT)
        return inode

    def check_open_ended(self) -> None:
        """Check that more names than those of now may ever appear here. Raises ENOENT: where none can, a look-up of
        another fails at once, whatever it is for.
        """
        if self.mount.file_system.magic == PROC_SUPER_MAGIC or self.directory().stays_empty():
            raise Errno(ENOENT)

    def run(self, name: bytes, flags: int) -> None:
        """Walk `name` from the present place; with PARENT leave the last component to the caller."""
        context = self.context
        rest = name
        position = 0
        length = len(rest)
        if length > 0 and rest[0] == _SLASH:
            self._to_root()
        self.kind = LAST_ROOT
        self.last = b""
        self.trailing_slash = False
        while True:
            while position < length and rest[position] == _SLASH:
                position += 1
            if position == length:
                return
            dentry = self.dentry
            directory = dentry.inode
            if directory is None or not directory.is_directory():
                raise Errno(ENOTDIR)
            if directory.mode & 0o111 != 0o111 or directory.revalidates:
                directory.check_permission(self.mount.actor(context.credentials), MAY_EXEC)
            end = rest.find(b"/", position)
            if end < 0:
                end = length
            begin = position
            position = end
            while position < length and rest[position] == _SLASH:
                position += 1
            is_last = position == length
            kind = LAST_NORMAL
            if rest[begin] == _DOT:
                if end - begin == 1:
                    kind = LAST_DOT
                elif end - begin == 2 and rest[begin + 1] == _DOT:
                    kind = LAST_DOT_DOT
            if is_last:
                self.trailing_slash = end < length
                self.kind = kind
                if flags & PARENT != 0:
                    self.last = rest[begin:end]
                    return
                self.goes_in = flags & (ENTER | DIRECTORY) != 0 or self.trailing_slash
            if kind == LAST_DOT:
                continue
            if kind == LAST_DOT_DOT:
                self._up()
                continue
            children = dentry.children
            child = children.get(rest[begin:end]) if children is not None else None
            if child is None or _is_doubtful(directory, child):
                if context.restrictions & RESOLVE_CACHED != 0:
                    raise Errno(EAGAIN)
                child = self._find(rest[begin:end])
                if child is None:
                    raise Errno(ENOENT)
            inode = self._enter(child)
            if inode.is_symlink() and (not is_last or self.trailing_slash or flags & FOLLOW != 0):
                self.dentry = dentry
                if is_last:
                    self.check_link(directory, inode)
                target = self.link_target(inode)
                if not target:
                    self._check_slash(is_last)
                    continue  # a magic link: the place is set
                rest = target if is_last and not self.trailing_slash else target + b"/" + rest[position:]
                position = 0
                length = len(rest)
                if rest[0] == _SLASH:
                    if self.mount is not context.root.mount:
                        self._check_crossing()
                    self._to_root()
                self.trailing_slash, self.goes_in = False, True
                continue
            if is_last and self.trailing_slash and not inode.is_directory():
                raise Errno(ENOTDIR)

    def _check_slash(self, is_last: bool) -> None:
        """Raise ENOTDIR if a slash follows the last component, which leads to no directory."""
        if is_last and self.trailing_slash and not self.directory().is_directory():
            raise Errno(ENOTDIR)

    def check_link(self, directory: Inode, link: Inode) -> None:
        """Whether the link at the end of a path may be followed. Raises EACCES."""
        check_following(self.mount.actor(self.context.credentials), directory, link)

    def link_target(self, inode: Inode) -> bytes:
        """Count a symbolic link; returns its text, or b"" after a magic link, which moves the walk itself."""
        self.links += 1
        restrictions = self.context.restrictions
        if self.links > MAX_LINKS or restrictions & RESOLVE_NO_SYMLINKS != 0:
            raise Errno(ELOOP)
        if self.mount.flags & MS_NOSYMFOLLOW != 0:
            raise Errno(ELOOP)
        if inode.has_magic_link:
            if restrictions & RESOLVE_NO_MAGICLINKS != 0:
                raise Errno(ELOOP)
            place = inode.follow(self.context)
            if restrictions & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0:
                raise Errno(EXDEV)
            if restrictions & RESOLVE_NO_XDEV != 0 and place.mount is not self.mount:
                raise Errno(EXDEV)
            self.mount = place.mount
            self.dentry = place.dentry
            return b""
        self.mount.touch_accessed(inode)
        if not inode.file_system.sleeps:
            target = inode.read_link()
        else:
            self._pin()
            inode.acquire()
            try:
                target = inode.read_link()
            finally:
                inode.release()
                self._unpin(self.mount, self.dentry)
        if not target:
            raise Errno(ENOENT)
        return target

    # ---- Sleeping in a file system ------------------------------------------------------------------------------

    def look_up(self, name: bytes) -> Dentry | None:
        """The child `name` of the place that was reached, from the cache or from its file system; None if there is
        none.
        """
        if not self.mount.file_system.sleeps:
            return look_up_held(self.dentry, name)
        children = self.dentry.children
        if children is not None:
            child = children.get(name)
            if child is not None and (child.mounts is not None or not _is_doubtful(self.directory(), child)):
                return child if child.inode is not None else None
        self.hold_names()
        try:
            return look_up_held(self.dentry, name)
        finally:
            self.let_names_go()

    def hold_names(self) -> None:
        """Keep the directory that was reached as it is, until `let_names_go`: nobody else looks up, creates or removes
        names in its file system. Free for file systems that never sleep: nothing can run in between. Raises ENOENT if
        the directory was removed meanwhile.
        """
        file_system = self.mount.file_system
        if not file_system.sleeps:
            return
        self._pin()
        held = False
        try:
            file_system.hold_names()
            held = True
        finally:
            if not held:
                self._unpin(self.mount, self.dentry)
        if self.dentry.deleted:
            self.let_names_go()
            raise Errno(ENOENT)

    def let_names_go(self) -> None:
        """Undo `hold_names`; the place is the same as then."""
        if self.mount.file_system.sleeps:
            self.mount.file_system.let_names_go()
            self._unpin(self.mount, self.dentry)

    def pin(self) -> None:
        """Keep the place across a sleep, until `unpin`. Free for file systems that never sleep."""
        if self.mount.file_system.sleeps:
            self._pin()

    def unpin(self) -> None:
        if self.mount.file_system.sleeps:
            self._unpin(self.mount, self.dentry)

    def _pin(self) -> None:
        self.mount.users += 1
        self.dentry.pins += 1

    def _unpin(self, mount: Mount, dentry: Dentry) -> None:
        dentry.pins -= 1
        mount.release()

    def enter(self, child: Dentry) -> None:
        """Step to a child of the present directory, and into what is mounted there."""
        if self.mount.file_system.automounts:
            passed = self._pass_name(child.name, child)
            if passed is None:
                raise Errno(ENOENT)
            child = passed
        self._enter(child)

    def _enter(self, child: Dentry) -> Inode:
        mount = self.mount
        while child.mounts is not None:
            covering = mount.children.get(child)
            if covering is None:
                break
            self._check_crossing()
            covering.entries += 1
            mount = covering
            child = covering.root
            if mount.file_system.automounts:
                self._pass_root(mount)
        inode = child.inode
        if inode is None:
            raise Errno(ENOENT)
        self.mount = mount
        self.dentry = child
        return inode

    # ---- Waiting for an automounter -----------------------------------------------------------------------------

    def _find(self, name: bytes) -> Dentry | None:
        """As `look_up`, once an automounter has mounted what is wanted there."""
        child = self.look_up(name)
        return self._pass_name(name, child) if self.mount.file_system.automounts else child

    @noinline
    def _pass_name(self, name: bytes, child: Dentry | None) -> Dentry | None:
        """Wait until a walk may go on to a name in the directory that was reached, and return what it leads to then.
        Raises what the automounter answers, EINTR, ELOOP (it has often said that it is done, and it is not), EAGAIN
        (RESOLVE_CACHED), MemoryError.
        """
        directory = self.directory()
        while True:
            is_covered = child is not None and child.mounts is not None and child in self.mount.children
            if not directory.stops(name, is_covered=is_covered, goes_in=self.goes_in):
                return child
            self._await_mount(directory, name, self.mount, self.dentry)
            was_missing = child is None
            child = look_up_held(self.dentry, name)
            if was_missing and child is None:
                return None

    @noinline
    def _pass_root(self, mount: Mount) -> None:
        """Wait until a walk may go on from the root of a mount that it enters. Raises the same."""
        root = mount.root
        inode = root.inode
        while inode is not None:
            is_covered = root.mounts is not None and root in mount.children
            if not inode.stops(b"", is_covered=is_covered, goes_in=self.goes_in):
                return
            self._await_mount(inode, b"", mount, root)

    def _await_mount(self, directory: Inode, name: bytes, mount: Mount, place: Dentry) -> None:
        """Wait at a place, or at a name in it. The walk's own place stays as well."""
        if self.context.restrictions & RESOLVE_CACHED != 0:
            raise Errno(EAGAIN)
        self.links += 1
        if self.links > MAX_LINKS:
            raise Errno(ELOOP)
        self._pin()
        mount.users += 1
        place.pins += 1
        try:
            directory.await_mount(name)
        finally:
            self._unpin(mount, place)
            self._unpin(self.mount, self.dentry)

    def _check_crossing(self) -> None:
        if self.context.restrictions & RESOLVE_NO_XDEV != 0:
            raise Errno(EXDEV)

    def _to_root(self) -> None:
        root = self.context.root
        if self.context.restrictions & RESOLVE_BENEATH != 0:
            raise Errno(EXDEV)
        self.mount = root.mount
        self.dentry = root.dentry

    def _up(self) -> None:
        """One directory up, out of mounts, but not past the root. Raises ENOENT if that is not below the mount."""
        root = self.context.root
        mount = self.mount
        dentry = self.dentry
        while True:
            if dentry is root.dentry and mount is root.mount:
                if self.context.restrictions & RESOLVE_BENEATH != 0:
                    raise Errno(EXDEV)
                break
            if dentry is not mount.root:
                above = dentry.parent
                if above is not None:
                    if mount.root.parent is not None and not shows(mount, above):
                        raise Errno(ENOENT)  # it was moved out of the part that the mount shows
                    dentry = above
                break
            outer = mount.parent
            point = mount.mount_point
            if outer is None or point is None:
                break
            self._check_crossing()
            mount = outer
            dentry = point
        # The new place may itself be covered, for example by a mount over a working directory's parent.
        while dentry.mounts is not None:
            covering = mount.children.get(dentry)
            if covering is None:
                break
            mount = covering
            dentry = covering.root
        self.mount = mount
        self.dentry = dentry


@inline
def _is_doubtful(directory: Inode, child: Dentry) -> bool:
    """Whether a directory must be asked about a name that is in the cache."""
    return directory.revalidates and directory.doubts(child.name, child.inode)


def look_up_held(parent: Dentry, name: bytes) -> Dentry | None:
    """The child `name` of a directory whose names are held (`Walk.hold_names`), from the cache or from its file system;
    None if there is none.
    """
    children = parent.children
    directory = parent.inode
    child = children.get(name) if children is not None else None
    if child is not None and (directory is None or child.mounts is not None or not _is_doubtful(directory, child)):
        return child if child.inode is not None else None
    if len(name) > NAME_MAX:
        raise Errno(ENAMETOOLONG)
    if directory is None:
        return None
    inode = directory.lookup(name)
    if child is not None:
        if child.inode is inode and inode is not None and child.cached:
            return child
        return _enter_anew(parent, child, directory, inode)
    return _enter_found(parent, name, directory, inode)


@inline
def _enter_found(parent: Dentry, name: bytes, directory: Inode, inode: Inode | None) -> Dentry | None:
    """The child of a name that is not in the cache, after its look-up. Raises MemoryError."""
    if inode is None:
        if directory.file_system.keeps_negatives:
            CACHE.insert(parent, name, None)
        return None
    if not directory.caches_children:
        return Dentry(parent, name, inode)
    return _enter_name(parent, name, inode)


@noinline
def _enter_anew(parent: Dentry, stale: Dentry, directory: Inode, inode: Inode | None) -> Dentry | None:
    """The same for a name that led to something else. It leads to the new inode by the time that others run at the
    safe points: they do not enter it again, and do not lose what they entered. Raises MemoryError.
    """
    if stale.cached:
        stale.deleted = True
        CACHE.detach(stale)
    child = _enter_found(parent, stale.name, directory, inode)
    if child is not None:
        child.pins += 1
    CACHE.forget_children(stale)
    if child is not None:
        child.pins -= 1
    return child


def _enter_name(parent: Dentry, name: bytes, inode: Inode) -> Dentry:
    """Make a name lead to an inode. Raises MemoryError; then the inode is notified that no name leads to it."""
    done = False
    try:
        child = CACHE.insert(parent, name, inode)
        done = True
        return child
    finally:
        if not done:
            inode.acquire()
            inode.release()


def reserve(parent: Dentry, name: bytes) -> Dentry:
    """The dentry of a free name, negative still, of a directory whose names are held: before the name is created, so
    that `settle` needs no memory. It is pinned until `give_back`. Directories that are asked each time enter it
    nowhere: the name may vanish without notice to the cache (mq_unlink(2)). Raises MemoryError.
    """
    directory = parent.inode
    if directory is not None and not directory.caches_children:
        place = Dentry(parent, name, None)
        place.pins += 1
        return place
    return CACHE.reserve(parent, name)


def settle(place: Dentry, inode: Inode) -> None:
    """The name of a reserved dentry has just been created, and leads to `inode`."""
    place.deleted = False
    if place.cached:
        CACHE.fill(place, inode)
    else:
        place.inode = inode


def give_back(place: Dentry) -> None:
    """Undo `reserve`. If the name was not created, and free names are not worth remembering, it is forgotten."""
    place.pins -= 1
    parent = place.parent
    if place.inode is None and parent is not None:
        directory = parent.inode
        if directory is None or not directory.file_system.keeps_negatives:
            CACHE.detach(place)


def enter_listed(parent: Dentry, name: bytes, inode: Inode) -> None:
    """Enter a name that was listed with its inode, in a directory whose names are held. Raises MemoryError."""
    children = parent.children
    child = children.get(name) if children is not None else None
    if child is not None:
        if child.inode is inode:
            return
        if child.mounts is not None:
            inode.acquire()  # the mount stays, and nobody uses the inode
            inode.release()
            return
        directory = parent.inode
        if directory is not None:  # it was listed
            _enter_anew(parent, child, directory, inode)
        return
    _enter_name(parent, name, inode)


def start(context: FsContext, base: Path | None) -> Walk:
    return Walk(context, context.working if base is None else base)


def resolve(context: FsContext, base: Path | None, name: bytes, flags: int) -> Path:
    """Where `name` leads, seen from `base` (None: the working directory)."""
    if len(name) == 0 and flags & EMPTY_PATH == 0:
        raise Errno(ENOENT)
    walk = start(context, base)
    walk.run(name, flags)
    if flags & DIRECTORY != 0 and not walk.directory().is_directory():
        raise Errno(ENOTDIR)
    return Path(walk.mount, walk.dentry)


def resolve_parent(context: FsContext, base: Path | None, name: bytes) -> Walk:
    """Walk to the directory that holds the last component of `name`."""
    if len(name) == 0:
        raise Errno(ENOENT)
    walk = start(context, base)
    walk.run(name, PARENT)
    return walk

"""Numbers of the file interface that programs see (open(2), inode(7), statx(2), fcntl(2), mount(2), poll(2)), for
x86-64.
"""

from typing import Final

# ---- Limits ---------------------------------------------------------------------------------------------------
PATH_MAX: Final = 4096  # with the NUL
NAME_MAX: Final = 255
MAX_LINKS: Final = 40  # symbolic links followed in one walk
LINK_MAX: Final = 65000
IOV_MAX: Final = 1024
MAX_RW_COUNT: Final = 0x7FFFF000  # what one read or write moves at most
MAX_FILE_SIZE: Final = 0x7FFFFFFFFFFFFFFF
PAGE_SIZE: Final = 4096
PAGE_SHIFT: Final = 12

POSIX_FADV_NORMAL: Final = 0
POSIX_FADV_RANDOM: Final = 1
POSIX_FADV_SEQUENTIAL: Final = 2
POSIX_FADV_WILLNEED: Final = 3
POSIX_FADV_DONTNEED: Final = 4

# ---- File types and mode bits ---------------------------------------------------------------------------------
S_IFMT: Final = 0o170000
S_IFSOCK: Final = 0o140000
S_IFLNK: Final = 0o120000
S_IFREG: Final = 0o100000
S_IFBLK: Final = 0o060000
S_IFDIR: Final = 0o040000
S_IFCHR: Final = 0o020000
S_IFIFO: Final = 0o010000
S_ISUID: Final = 0o4000
S_ISGID: Final = 0o2000
S_ISVTX: Final = 0o1000
S_IXGRP: Final = 0o010
S_IRWXUGO: Final = 0o777
MODE_BITS: Final = 0o7777

MAY_EXEC: Final = 1
MAY_WRITE: Final = 2
MAY_READ: Final = 4

# ---- open flags -----------------------------------------------------------------------------------------------
O_ACCMODE: Final = 3
O_RDONLY: Final = 0
O_WRONLY: Final = 1
O_RDWR: Final = 2
O_CREAT: Final = 0o100
O_EXCL: Final = 0o200
O_NOCTTY: Final = 0o400
O_TRUNC: Final = 0o1000
O_APPEND: Final = 0o2000
O_NONBLOCK: Final = 0o4000
O_DSYNC: Final = 0o10000
O_ASYNC: Final = 0o20000
O_DIRECT: Final = 0o40000
O_LARGEFILE: Final = 0o100000
O_DIRECTORY: Final = 0o200000
O_NOFOLLOW: Final = 0o400000
O_NOATIME: Final = 0o1000000
O_CLOEXEC: Final = 0o2000000
O_SYNC: Final = 0o4010000
O_PATH: Final = 0o10000000
O_SILENT: Final = 0x200_0000  # fanotify's own files: what happens through them causes no events
O_TMPFILE_BIT: Final = 0o20000000
O_TMPFILE: Final = 0o20200000
# What F_SETFL may change.
SETTABLE_FLAGS: Final = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME
KNOWN_OPEN_FLAGS: Final = 0o37777703

# ---- *at flags ------------------------------------------------------------------------------------------------
AT_FDCWD: Final = -100
AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_REMOVEDIR: Final = 0x200
AT_EACCESS: Final = 0x200
AT_SYMLINK_FOLLOW: Final = 0x400
AT_NO_AUTOMOUNT: Final = 0x800
AT_EMPTY_PATH: Final = 0x1000
AT_STATX_SYNC_TYPE: Final = 0x6000

# ---- inode flags (ioctl_iflags(2)) -----------------------------------------------------------------------------
FS_SYNC_FL: Final = 0x8
FS_IMMUTABLE_FL: Final = 0x10
FS_APPEND_FL: Final = 0x20
FS_NODUMP_FL: Final = 0x40
FS_NOATIME_FL: Final = 0x80
FS_DIRSYNC_FL: Final = 0x10000
FS_UNCHANGEABLE: Final = FS_IMMUTABLE_FL | FS_APPEND_FL  # neither names nor attributes may change

RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2
RENAME_WHITEOUT: Final = 4

UTIME_NOW: Final = 0x3FFFFFFF
UTIME_OMIT: Final = 0x3FFFFFFE

# ---- lseek, fallocate -----------------------------------------------------------------------------------------
SEEK_SET: Final = 0
SEEK_CUR: Final = 1
SEEK_END: Final = 2
SEEK_DATA: Final = 3
SEEK_HOLE: Final = 4
FALLOC_FL_KEEP_SIZE: Final = 1
FALLOC_FL_PUNCH_HOLE: Final = 2
FALLOC_FL_COLLAPSE_RANGE: Final = 8
FALLOC_FL_ZERO_RANGE: Final = 16
FALLOC_FL_INSERT_RANGE: Final = 32
FALLOC_FL_UNSHARE_RANGE: Final = 64

# ---- directory entry types (getdents) -------------------------------------------------------------------------
DT_UNKNOWN: Final = 0
DT_DIR: Final = 4
DT_LNK: Final = 10

# ---- mount flags ----------------------------------------------------------------------------------------------
MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_SYNCHRONOUS: Final = 16
MS_REMOUNT: Final = 32
MS_MANDLOCK: Final = 64
MS_DIRSYNC: Final = 128
MS_NOSYMFOLLOW: Final = 256
MS_NOATIME: Final = 1024
MS_NODIRATIME: Final = 2048
MS_BIND: Final = 4096
MS_MOVE: Final = 8192
MS_REC: Final = 16384
MS_SILENT: Final = 32768
MS_UNBINDABLE: Final = 1 << 17
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MS_SHARED: Final = 1 << 20
MS_RELATIME: Final = 1 << 21
MS_STRICTATIME: Final = 1 << 24
MS_LAZYTIME: Final = 1 << 25
MS_NOUSER: Final = -(1 << 31)  # this bit and all above it
MS_SHOWN: Final = MS_DIRSYNC | MS_MANDLOCK | MS_LAZYTIME  # flags that a file system keeps to show them
MNT_FORCE: Final = 1
MNT_DETACH: Final = 2
MNT_EXPIRE: Final = 4
UMOUNT_NOFOLLOW: Final = 8

# ---- poll -----------------------------------------------------------------------------------------------------
POLLIN: Final = 0x1
POLLPRI: Final = 0x2
POLLOUT: Final = 0x4
POLLERR: Final = 0x8
POLLHUP: Final = 0x10
POLLNVAL: Final = 0x20
POLLRDNORM: Final = 0x40
POLLRDBAND: Final = 0x80
POLLWRNORM: Final = 0x100
POLLWRBAND: Final = 0x200
POLLRDHUP: Final = 0x2000
READABLE: Final = POLLIN | POLLRDNORM
WRITABLE: Final = POLLOUT | POLLWRNORM

# ---- fcntl ----------------------------------------------------------------------------------------------------
F_DUPFD: Final = 0
F_GETFD: Final = 1
F_SETFD: Final = 2
F_GETFL: Final = 3
F_SETFL: Final = 4
F_GETLK: Final = 5
F_SETLK: Final = 6
F_SETLKW: Final = 7
F_SETOWN: Final = 8
F_GETOWN: Final = 9
F_SETSIG: Final = 10
F_GETSIG: Final = 11
F_SETOWN_EX: Final = 15
F_GETOWN_EX: Final = 16
F_GETOWNER_UIDS: Final = 17
F_OFD_GETLK: Final = 36
F_OFD_SETLK: Final = 37
F_OFD_SETLKW: Final = 38
F_SETLEASE: Final = 1024
F_GETLEASE: Final = 1025
F_NOTIFY: Final = 1026
F_DUPFD_QUERY: Final = 1027
F_CREATED_QUERY: Final = 1028
F_DUPFD_CLOEXEC: Final = 1030
F_SETPIPE_SZ: Final = 1031
F_GETPIPE_SZ: Final = 1032
F_ADD_SEALS: Final = 1033
F_GET_SEALS: Final = 1034
F_GET_RW_HINT: Final = 1035
F_SET_RW_HINT: Final = 1036
FD_CLOEXEC: Final = 1
F_RDLCK: Final = 0
F_WRLCK: Final = 1
F_UNLCK: Final = 2
F_SEAL_SEAL: Final = 1
F_SEAL_SHRINK: Final = 2
F_SEAL_GROW: Final = 4
F_SEAL_WRITE: Final = 8
F_SEAL_FUTURE_WRITE: Final = 16
F_SEAL_EXEC: Final = 32

LOCK_SH: Final = 1
LOCK_EX: Final = 2
LOCK_NB: Final = 4
LOCK_UN: Final = 8

# ---- ioctls that every file answers ---------------------------------------------------------------------------
FIONREAD: Final = 0x541B
FIONBIO: Final = 0x5421
FIOASYNC: Final = 0x5452
FIONCLEX: Final = 0x5450
FIOCLEX: Final = 0x5451
FIOQSIZE: Final = 0x5460

# ---- file system magic numbers (statfs) -----------------------------------------------------------------------
TMPFS_MAGIC: Final = 0x01021994
RAMFS_MAGIC: Final = 0x858458F6
HUGETLBFS_MAGIC: Final = 0x958458F6
PROC_SUPER_MAGIC: Final = 0x9FA0
SYSFS_MAGIC: Final = 0x62656572
PIPEFS_MAGIC: Final = 0x50495045
ANON_INODE_FS_MAGIC: Final = 0x09041934
SOCKFS_MAGIC: Final = 0x534F434B
DEVPTS_SUPER_MAGIC: Final = 0x1CD1
EXT2_SUPER_MAGIC: Final = 0xEF53


def device_number(major: int, minor: int) -> int:
    """The encoding of dev_t that stat and mknod use (makedev(3)), for majors and minors below 2**20."""
    return ((major & 0xFFF) << 8) | (minor & 0xFF) | ((minor & 0xFFF00) << 12)


def device_major(device: int) -> int:
    return (device >> 8) & 0xFFF


def device_minor(device: int) -> int:
    return (device & 0xFF) | ((device >> 12) & 0xFFF00)

# openat2(2): what a walk may not do.
RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10
RESOLVE_CACHED: Final = 0x20

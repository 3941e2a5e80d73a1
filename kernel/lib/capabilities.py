"""Capabilities: root's powers one by one (capabilities(7)). A set of them is a number with a bit for each.

A thread's credentials hold its sets; the rules by which they change are here and in the system calls.
"""

from typing import Final

CAP_CHOWN: Final = 0
CAP_DAC_OVERRIDE: Final = 1
CAP_DAC_READ_SEARCH: Final = 2
CAP_FOWNER: Final = 3
CAP_FSETID: Final = 4
CAP_KILL: Final = 5
CAP_SETGID: Final = 6
CAP_SETUID: Final = 7
CAP_SETPCAP: Final = 8
CAP_LINUX_IMMUTABLE: Final = 9
CAP_NET_BIND_SERVICE: Final = 10
CAP_NET_ADMIN: Final = 12
CAP_NET_RAW: Final = 13
CAP_IPC_LOCK: Final = 14
CAP_IPC_OWNER: Final = 15
CAP_SYS_MODULE: Final = 16
CAP_SYS_RAWIO: Final = 17
CAP_SYS_CHROOT: Final = 18
CAP_SYS_PTRACE: Final = 19
CAP_SYS_PACCT: Final = 20
CAP_SYS_ADMIN: Final = 21
CAP_SYS_BOOT: Final = 22
CAP_SYS_NICE: Final = 23
CAP_SYS_RESOURCE: Final = 24
CAP_SYS_TIME: Final = 25
CAP_SYS_TTY_CONFIG: Final = 26
CAP_MKNOD: Final = 27
CAP_LEASE: Final = 28
CAP_AUDIT_WRITE: Final = 29
CAP_SETFCAP: Final = 31
CAP_MAC_OVERRIDE: Final = 32
CAP_SYSLOG: Final = 34
CAP_WAKE_ALARM: Final = 35
CAP_PERFMON: Final = 38
CAP_BPF: Final = 39
CAP_CHECKPOINT_RESTORE: Final = 40
LAST_CAPABILITY: Final = 40

ALL_CAPABILITIES: Final = (1 << LAST_CAPABILITY + 1) - 1
# The capabilities tied to the file system's user id (setfsuid(2)).
FILE_SYSTEM_CAPABILITIES: Final = (
    1 << CAP_CHOWN
    | 1 << CAP_DAC_OVERRIDE
    | 1 << CAP_DAC_READ_SEARCH
    | 1 << CAP_FOWNER
    | 1 << CAP_FSETID
    | 1 << CAP_LINUX_IMMUTABLE
    | 1 << CAP_MKNOD
    | 1 << CAP_MAC_OVERRIDE
)

# Securebits; the lock of each is the bit above it.
SECURE_NOROOT: Final = 0x01
SECURE_NO_SETUID_FIXUP: Final = 0x04
SECURE_KEEP_CAPS: Final = 0x10
SECURE_KEEP_CAPS_LOCKED: Final = 0x20
SECURE_NO_CAP_AMBIENT_RAISE: Final = 0x40
SECURE_BITS: Final = 0x55
SECURE_LOCKS: Final = 0xAA

"""What the descriptions of arguments (kernel/doors/arguments.py) name: sets of numbers, and texts.

A set's members are C expressions for the compiler of the fuzzer, with the names of the C library's and Linux's headers.
`A..B` stands for all numbers from A to B. A member may say what the argument after it is, in parentheses: then that
argument's word is `any`.
"""

from __future__ import annotations

from typing import Final

SETS: Final = {
    "access": "R_OK W_OK X_OK",
    "address4": (
        "0 be32(0x7f000001) be32(0x7f000002) be32(0xe0000001) be32(0xffffffff) be32(0x0a00020f) "
        "be32(0x0a000202) be32(0x0a000202)"
    ),
    "adjustment": "1 2 4 8 0x10 0x20 0x80 0x100 0x1000 0x2000 0x4000 0x8001 0xa001",
    "arch_prctl": (
        "0x1001(address) 0x1002(address) 0x1003(>bytes[8]) 0x1004(>bytes[8]) 0x1011(int) 0x1012(one:0|1) "
        "0x1021..0x1026 0x2001 0x2003 0x4001 0x4002 0x5001"
    ),
    "at": "AT_SYMLINK_NOFOLLOW AT_EMPTY_PATH AT_SYMLINK_FOLLOW AT_NO_AUTOMOUNT 0x2000 0x4000 0x200",
    "bpf": "0x06 0x16 0x00 0x20 0x28 0x30 0x15 0x25 0x35 0x45 0x05 0x04 0x14 0x24 0x34 0x54 0x64 0x87 0x02 0x60 0xb1",
    "clone": (
        "CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_PARENT CLONE_THREAD CLONE_SYSVSEM CLONE_SETTLS "
        "CLONE_PARENT_SETTID CLONE_CHILD_CLEARTID CLONE_CHILD_SETTID CLONE_IO CLONE_VFORK 0x1000 17 10 "
        "0x100000000 CLONE_NEWNS CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWPID 0x80 0x2000000 CLONE_NEWUSER CLONE_NEWNET"
    ),
    "epoll": "EPOLLIN EPOLLOUT EPOLLPRI EPOLLRDHUP EPOLLET EPOLLONESHOT EPOLLWAKEUP EPOLLEXCLUSIVE",
    "fadvise": "0..6",
    "fallocate": "1 2 8 16 32 64",
    "family": "AF_UNIX AF_UNIX AF_INET AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_UNSPEC 40",
    "fanotify": (
        "1 2 4 8 0x10 0x20 0x40 0x80 0x100 0x200 0x400 0x800 0x1000 0x8000 0x10000 0x20000 0x40000 0x8000000 "
        "0x10000000 0x40000000 0xfff 0x3b"
    ),
    "fanotify_init": "1 2 4 8 0x10 0x20 0x40 0x80 0x100 0x200 0x400 0x800 0x1000 0x2000 0xc00 0x1e00",
    "fanotify_mark": "1 1 1 2 4 8 0x10 0x20 0x40 0x80 0x100 0x200 0x400 0x440",
    "fcntl": (
        "F_DUPFD(fd) F_GETFD F_SETFD(one:0|1) F_GETFL F_SETFL(flags:open) F_GETLK(=flock) F_SETLK(<flock) "
        "F_SETLKW(<flock) F_SETOWN(pid) F_GETOWN F_SETSIG(signal) F_GETSIG 15(<owner) 16(>owner) "
        "17(>bytes[8]) 36(=flock) 37(<flock) 38(<flock) F_SETLEASE(one:0|1|2) F_GETLEASE "
        "F_NOTIFY(flags:notify) 1027(fd) 1028 F_DUPFD_CLOEXEC(fd) 1031(size) 1032 1033(flags:1|2|4|8|16|32) "
        "1034 1035(>bytes[8]) 1036(<int) 1037(>int) 1038(<int)"
    ),
    "futex": "0..13 0x80..0x8d 0x100 0x109 0x189 0x18b",
    "futex2": "0 1 2 3 4 0x80",
    "inotify": (
        "1 2 4 8 0x10 0x20 0x40 0x80 0x100 0x200 0x400 0x800 0xfff 0x1000000 0x2000000 0x4000000 0x10000000 "
        "0x20000000 0x40000000 0x80000000"
    ),
    "io_priority": "0 1 7 1<<13 2<<13 3<<13 4<<13",
    "io_uring_register": (
        "0(<iovec[2]) 1 2(<uring_file[4]) 3 4(<uring_file) 5 6(<uring_update) 7(<uring_file) 8(=bytes[144]) 9 10 "
        "11(<bytes[32]) 12 13(<uring_files) 14(<uring_new_files) 15(<uring_buffers) 16(<uring_new_buffers) "
        "17(<bytes[32]) 18 19(<uring_workers) 20(=uring_update) 21(<uring_update) 22(<uring_group) 23(<uring_group) "
        "24(<uring_cancel) 25(<uring_range) 26(=uring_status) 27(=uring_napi) 28(>bytes[16]) 29(<uring_clock) "
        "30(<uring_clone) 31"
    ),
    "ioctl": (
        "FIONREAD(>int) FIONBIO(<int) FIOASYNC(<int) FIONCLEX FIOCLEX 0x5460(>bytes[8]) TCGETS(>bytes[36]) "
        "TCSETS(<termios) TCSETSW(<termios) TCSETSF(<termios) TCSBRK(int) TCXONC(one:0|1|2|3|4) "
        "TCFLSH(one:0|1|2|3) 0x540c 0x540d TIOCSCTTY(one:0|1) TIOCGPGRP(>pid) TIOCSPGRP(<pid) TIOCOUTQ(>int) "
        "TIOCSTI(<bytes[1]) TIOCGWINSZ(>bytes[8]) TIOCSWINSZ(<bytes[8]) 0x5420(<int) TIOCNOTTY TIOCSETD(<int) "
        "TIOCGETD(>int) 0x5425(int) TIOCGSID(>pid) 0x5430(>int) 0x5431(<int) 0x5441(flags:open) "
        "0x80045439(>int) 0x5456(>int) 0x8901(<pid) 0x8902(<pid) 0x8903(>pid) 0x8904(>pid) 0x8905(>int) "
        "0x8906(>bytes[16]) 0x8907(>bytes[16]) 0x890b(<route) 0x890c(<route) 0x8910..0x8927 0x8912(=ifconf) "
        "0x8913(=ifreq) 0x8915(=ifreq) 0x8933(=ifreq) 0x8921(=ifreq) 0x8914(=ifreq) 0x8916(=ifreq) "
        "0x8922(=ifreq) 0x8946(=ifreq) 0x894b(>int) 0x8953(=bytes[68]) 0x8954(=bytes[68]) 0x8955(<bytes[68]) "
        "0x8970(=ifreq) 0x89a0(<bytes[16]) 0x89a1(<bytes[16]) 0x89a2(=ifreq) 0x89a3(=ifreq) "
        "0x400454ca(=ifreq) 0x800454cf(>int) 0x400454d4(<int) 0x400454d8(<int) 0x400454d0(one:0|1|2|15|31) "
        "0x400454d9(=ifreq) 0x800454d2(>bytes[40]) "
        "0x1260(>bytes[8]) 0x125e(>int) 0x125d(<int) 0x125f 0x1261 0x1262(int) "
        "0x1263(>bytes[8]) 0x1268(>int) 0x1269(<bytes[24]) 0x1277(<range) 0x127d(<range) 0x127f(<range) "
        "0x80081272(>bytes[8]) 0x4c00(fd) 0x4c01 0x4c04(<bytes[232]) 0x4c05(>bytes[232]) 0x4c06(fd) 0x4c07 "
        "0x4c08(one:0|1) 0x4c09(one:512|1024|4096|0) 0x4c0a(<loop_config) 0x4c80(int) 0x4c82 0x6601(>int) "
        "0x40086602(<int) 0x80087601(>int) 0x40087602(<int) 0xc0045877(<int) 0xc0045878(<int) 0x40049409(fd) "
        "0x40086e00 0xb701 0xb702 0xb703 0xb704(>int) 0x8008b705(>bytes[8]) 0x8004b706..0x8004b709 "
        "0x8010b70a(>bytes[16]) 0x8010b70b(>bytes[16]) 0x8010b70c(>bytes[16]) 0x7468(>bytes[12]) "
        "0x4004e000..0x4004e003 0x40089000(<bytes[8]) "
        "0xc0686611(=bytes[104]) 0x2400(one:0|1) 0x2401(one:0|1) 0x2402(int) 0x2403(one:0|1) 0x40082404(<uint) "
        "0x2405(fd:perf) 0x40082406(name:filter) 0x80082407(>bytes[8]) 0x40042408(fd) 0x40042409(one:0|1) "
        "0xc008240a(=bytes[16]) 0x4008240b(<perf_event_attr) "
        "0xc018aa3f(=uffd_api) 0xc020aa00(=uffd_page) 0x8010aa01(<uffd_page) "
        "0x8010aa02(<uffd_page) 0xc028aa03(=uffd_copy) 0xc020aa04(=uffd_page) 0xc018aa06(=uffd_page) "
        "0xc028aa05(=uffd_copy) 0xc020aa07(=uffd_page) 0xc020aa08(=uffd_page) 0xaa00(one:0|1|0x800|0x80000)"
    ),
    "itimer": "0..3",
    "keyctl": (
        "0(key_serial) 1(name:key_name) 2(key_serial) 3(key_serial) 4(key_serial) 5(key_serial) 6(key_serial) "
        "7(key_serial) 8(key_serial) 9(key_serial) 10(key_serial) 11(key_serial) 12(key_serial) 13(key_serial) 14 "
        "15(key_serial) 16(key_serial) 17(key_serial) 18 19(key_serial) 20(key_serial) 21(key_serial) 22(uid) "
        "23(<key_numbers) 23 24(key_serial) 25(<key_work) 26(<key_work) 27(<key_work) 28(<key_work) 29(key_serial) "
        "30(key_serial) 31(>bytes[8]) 32 33"
    ),
    "level": (
        "SOL_SOCKET SOL_SOCKET SOL_SOCKET IPPROTO_IP IPPROTO_IP IPPROTO_TCP IPPROTO_TCP IPPROTO_UDP "
        "IPPROTO_IPV6 IPPROTO_IPV6 SOL_PACKET SOL_NETLINK IPPROTO_RAW IPPROTO_ICMP IPPROTO_ICMPV6"
    ),
    "madvise": "0 1 2 3 4 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 100 101",
    "map": (
        "MAP_SHARED MAP_PRIVATE MAP_PRIVATE MAP_ANONYMOUS MAP_ANONYMOUS MAP_FIXED MAP_FIXED_NOREPLACE "
        "MAP_GROWSDOWN MAP_LOCKED MAP_NORESERVE MAP_POPULATE MAP_NONBLOCK MAP_STACK MAP_HUGETLB 0x40 8"
    ),
    "membarrier": "0 1 2 4 8 16 32 64 128 256 512",
    "mempolicy": "0 1 2 3 4 5 6 7 0x2000 0x4000 0x8000",
    "mount": (
        "MS_RDONLY MS_NOSUID MS_NODEV MS_NOEXEC MS_SYNCHRONOUS MS_REMOUNT MS_MANDLOCK MS_DIRSYNC MS_NOATIME "
        "MS_BIND MS_MOVE MS_REC MS_SILENT MS_PRIVATE MS_SHARED MS_SLAVE MS_UNBINDABLE MS_RELATIME "
        "MS_STRICTATIME MS_LAZYTIME 0"
    ),
    "msgctl": "0(any) 1(<msqid_ds) 2(>bytes[120]) 3(>bytes[40]) 11(>bytes[120]) 12(>bytes[40]) 13(>bytes[120])",
    "netlink": "1 1 4 0x300 0x300 0x100 0x200 0x400 0x500 0x800 2 8 16 32",
    "node": "S_IFREG S_IFDIR S_IFIFO S_IFSOCK S_IFCHR S_IFBLK S_IFLNK 0777 0600 S_ISUID S_ISGID",
    "notify": "1 2 4 8 16 32 0x80000000",
    "open": (
        "O_RDONLY O_WRONLY O_RDWR O_RDWR O_CREAT O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_DSYNC "
        "O_SYNC O_ASYNC O_DIRECT O_LARGEFILE O_DIRECTORY O_NOFOLLOW O_NOATIME O_CLOEXEC O_PATH 020200000"
    ),
    "option": "0..80",
    "perf_open": "1 2 4 8",
    "personality": (
        "0 0x40000 0x20000 0x80000 0x100000 0x200000 0x400000 0x800000 0x1000000 0x2000000 0x4000000 8 3 "
        "0xffffffff"
    ),
    "policy": "0 1 2 3 5 6 7 0x40000000",
    "poll": "POLLIN POLLPRI POLLOUT POLLRDNORM POLLRDBAND POLLWRNORM POLLWRBAND POLLMSG POLLRDHUP 0x20 8 16",
    "port": "0 be16(1) be16(80) be16(7001) be16(7002) be16(7003) be16(7004) be16(65535)",
    "prctl": (
        "1(signal) 2(>int) 3 4(one:0|1|2) 7 8(one:0|1) 13 14(one:0|1) 15(name:text) 16(>bytes[16]) 21 "
        "22(one:0|2) 23(one:0|1|40|41) 24(one:7|21|40|41) 25(>int) 26(one:1|2) 27 "
        "28(flags:1|2|4|8|16|32|64|128) 29(int) 30 31 32 33(one:0|1) 34 35(one:1|6|7|8|9|10|11|12|13|14) "
        "36(one:0|1) 37(>int) 38(one:0|1) 39 40(>bytes[8]) 41(one:0|1) 42 47(one:1|2|3|4) 52(one:0|1|2) "
        "53(one:0|1|2) 57(one:0|1) 58 59 62 65(flags:1|2) 66 67(one:0|1) 68 0x41555856(>bytes[64]) 0x53564d41(one:0) "
        "0x59616d61(pid)"
    ),
    "prot": "PROT_READ PROT_READ PROT_WRITE PROT_WRITE PROT_EXEC PROT_GROWSDOWN PROT_GROWSUP 8",
    "protocol": (
        "0 0 0 0 IPPROTO_TCP IPPROTO_UDP IPPROTO_ICMP IPPROTO_RAW IPPROTO_ICMPV6 4 12 12 15 16 0x300 "
        "IPPROTO_UDPLITE"
    ),
    "reboot": "0 0x89abcdef 1",
    "ptrace": "1..15 17 21 24..26 30..33 0x4200..0x4205 0x4207..0x4211",  # not what makes the fuzzer a tracer
    "quotactl": (
        "0x80000100 0x80000200 0x80000300 0x80000400 0x80000501 0x80000602 0x80000700 0x80000800 0x80000903 "
        "0x580100 0x580500 0x580700 0x580802 0"
    ),
    "receive": (
        "MSG_DONTWAIT MSG_DONTWAIT MSG_PEEK MSG_WAITALL MSG_TRUNC MSG_ERRQUEUE MSG_OOB MSG_CMSG_CLOEXEC "
        "0x10000"
    ),
    "resolve": "1 2 4 8 16 32",
    "rlimit": "0..16",
    "rtnetlink": "16..31 64..70 1..4 78 79 80 82 84 86 92 94 104..106 110",
    "rwf": "1 2 4 8 16 32",
    "seccomp": "1 2 4 8 16 32",
    "semctl": (
        "0(any) 1(<bytes[104]) 2(>bytes[104]) 3(>bytes[40]) 11 12 13(>bytes[64]) 14 15 16(int) 17(<bytes[64]) "
        "18(>bytes[104]) 19(>bytes[40]) 20(>bytes[104])"
    ),
    "semget": "IPC_CREAT IPC_CREAT IPC_EXCL 0600 0666",
    "send": (
        "MSG_DONTWAIT MSG_DONTWAIT MSG_NOSIGNAL MSG_MORE MSG_OOB MSG_EOR MSG_CONFIRM MSG_DONTROUTE "
        "MSG_FASTOPEN 0x4000000 MSG_PROXY"
    ),
    "shmctl": "0 1(<shmid_ds) 2(>bytes[112]) 3(>bytes[72]) 11 12 13(>bytes[112]) 14(>bytes[48]) 15(>bytes[112])",
    "shmget": "IPC_CREAT IPC_CREAT IPC_EXCL 0600 0666 SHM_HUGETLB SHM_NORESERVE",
    "si_code": "-1 -2 -3 -4 -5 -6 -60 0 1 128",
    "socket_type": "SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_SEQPACKET SOCK_RDM SOCK_NONBLOCK SOCK_NONBLOCK SOCK_CLOEXEC",
    "splice": "1 2 4 8",
    "statx": "1 2 4 8 0x10 0x20 0x40 0x80 0x100 0x200 0x400 0x800 0x1000 0x2000 0x4000 0x8000 0x80000000",
    "timex_status": "1 2 4 8 0x10 0x20 0x40 0x80 0x100 0x2000 0x4000",
    "utime": "UTIME_NOW UTIME_OMIT 0 1 999999999 1000000000 -1",
    "wait": "WNOHANG WNOHANG WUNTRACED WEXITED WCONTINUED WNOWAIT 0x20000000 0x40000000 0x80000000",
    "whence": "0..5",
}

# Strings, by what they are. Paths are within the sandbox; sandbox.h makes the files.
TEXTS: Final = {
    "attribute": (
        "user.a user.b user. trusted.a security.capability security.b system.posix_acl_access "
        "system.posix_acl_default system.c bad user.0123456789abcdef0123456789abcdef"
    ),
    "filter": "id==1 nothing==1 common_pid!=5 (id==1 !(id>5||id<3) id&2&&args==1 comm~a* !!!!id==1 ((((id==1)))) id",
    "file_system": "tmpfs proc sysfs tracefs devtmpfs devpts mqueue binfmt_misc configfs bpf ext2 ext4 none",
    "key_name": "a b svc:a svc:b .hidden _ses id:00 id: bin:00",
    "key_type": "user user logon keyring keyring encrypted asymmetric psk fscrypt-provisioning blacklist big_key .x",
    "interface": "lo eth0 lo:1 none tun0 tap%d br0",
    "mount_option": (
        "size=64k mode=700 nr_inodes=100 uid=1000,gid=1000 errors=remount-ro size=-1 "
        "size=99999999999999999999 nr_blocks=9223372036854775807 size=100% huge=always gid=4294967296 "
        "mode=77777777777 data=ordered sb=1 resuid=5 uid=0x10 delegate_cmds=any delegate_maps=array:3 delegate_progs="
    ),
    "path": (
        "fz0 fz1 fz2 fz3 fz4 fz5 dz0 dz1 dz0/fz6 dz0/fz7 dz0/dz2 dz0/dz2/fz8 lz0 lz1 lz2 pz0 sz0 . .. / ./fz0 "
        "dz0/../fz1 fz0/ dz0/ fz0/fz1 nz_null nz_zero nz_full nz_urandom nz_tty nz_ptmx nz_loop0 nz_loopctl "
        "nz_blk prz prz/self/fd/3 prz/self/fd/5 prz/self/fd/7 prz/self/exe prz/self/maps prz/self/status "
        "prz/self/mem prz/self/root prz/self/cwd prz/self/fdinfo/3 prz/self/smaps prz/self/stat "
        "prz/self/oom_score_adj prz/self/timerslack_ns prz/self/attr prz/self/coredump_filter "
        "prz/self/clear_refs prz/self/task prz/self/ns prz/self/ns/pid "
        "prz/self/ns/pid_for_children prz/self/ns/mnt prz/1/ns/pid prz/sys/kernel/ns_last_pid prz/self/mountinfo "
        "prz/self/environ prz/self/pagemap "
        "prz/self/uid_map prz/self/gid_map prz/self/setgroups prz/self/ns/user "
        "prz/self/comm prz/self/limits prz/1/stat prz/1/fd prz/1/cmdline prz/meminfo "
        "prz/net/tcp6 prz/net/udp prz/net/udp6 prz/net/raw prz/net/packet prz/net/dev prz/net/arp "
        "prz/net/route prz/net/snmp prz/net/netstat prz/net/sockstat prz/net/igmp prz/net/if_inet6 "
        "prz/net/protocols prz/loadavg prz/interrupts prz/diskstats prz/partitions prz/filesystems "
        "prz/devices prz/cpuinfo prz/vmstat prz/metrics prz/sysvipc/msg prz/sysvipc/shm prz/sysvipc/sem "
        "prz/net/tcp prz/net/unix prz/net/netlink prz/locks prz/stat prz/version prz/mounts szs szs/class "
        "szs/block szs/class/net/lo/mtu nz_tun prz/pressure/cpu prz/pressure/io "
        "prz/self/timens_offsets prz/self/ns/time_for_children prz/self/cgroup cgz cgz/a cgz/a/cgroup.procs "
        "cgz/a/memory.max cgz/a/cpu.max cgz/a/memory.pressure cgz/b cgz/b/cgroup.subtree_control ptz/0 ptz/ptmx "
        "ptz mqz mqz/q0 mqz/q1 bfz bfz/a bfz/b bfz/m0 bfz/dz0 bfz/dz0/a bfz/a.b"
    ),
    "pin": "bfz/a bfz/b bfz/m0 bfz/dz0/a a b bfz bfz/ bfz/a.b fz4 bfz/dz0",
    "queue": "/q0 /q1 q0 /q2 / /q/1",
    "socket_name": "@a @b sz0 sz1 dz0/sz2 @",
    "text": "a b hello 0 1 -1 2147483648 %s deny",
}

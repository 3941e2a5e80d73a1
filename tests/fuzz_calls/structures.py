"""What the pointers of system calls point to: fields in the notation of kernel/doors/arguments.py.

A field is a word; `label.word` if another field counts its elements; `word/N` if it is N bytes wide and not 8. Words
that only fields have:

- `pad[N]`, N bytes that nobody looks at; `bytes[N]`, N bytes of anything; `text:SET[N]`, a string in N bytes;
- `seconds`, `nanoseconds`, `microseconds`, `limit` (of a resource), `bits`, `zero`;
- `handler` and `restorer` of a signal; or the name of another structure.

Alternatives stand on both sides of a `|`.
"""

from __future__ import annotations

from typing import Final

STRUCTURES: Final = {
    "attribute": (
        "bytes[8] | one:2/4 one:1/2 mode/2 uid/4 one:4/2 mode/2 uid/4 one:32/2 mode/2 uid/4 | one:2/4 "
        "one:1|2|4|8|16|32|3/2 mode/2 uid/4 one:2/2 mode/2 uid/4 one:4/2 mode/2 uid/4 one:16/2 mode/2 uid/4 "
        "one:32/2 mode/2 uid/4 | one:0x2000000|0x2000001|0x3000000|0x3000001|0x1000000/4 bits/4 bits/4 bits/4 "
        "bits/4 uid/4"
    ),
    "bpf_map": (
        "one:1|2|2|6|5|3|9|10|11|12|13|8|22|23|30/4 one:4|4|8|0|513/4 one:8|4|1|0|70000/4 one:1|3|100|0|-1/4 "
        "flags:1|2|4|8|16|64|128|256|1024|4096/4 fd:bpf/4 zero/4 bytes[16] zero/4 zero zero zero zero | "
        "one:22|23|30/4 zero/4 one:4|8/4 one:3|100/4 zero/4 zero/4 zero/4 bytes[16] zero/4 zero zero zero zero | "
        "one:27/4 zero/4 zero/4 one:4096|8192|5000/4 zero/4 zero/4 zero/4 bytes[16] zero/4 zero zero zero zero | "
        "one:2|1/4 one:4/4 one:8|4/4 one:1|3/4 zero/4 zero/4 zero/4 bytes[16] zero/4 fd:bpf/4 one:0|1|2/4 one:1|2/4 "
        "zero/4 zero zero | "
        "one:11/4 one:8|5/4 one:8/4 one:3|100/4 one:1/4 zero/4 zero/4 bytes[16] zero/4 zero zero zero zero"
    ),
    "bpf_element": "fd:bpf/4 zero/4 =bytes[8]? =bytes[8]? one:0|0|1|2|3|4",
    "bpf_batch": "=bytes[8]? =bytes[8]? =bytes[64]? =bytes[64]? one:0|1|3|8|100/4 fd:bpf/4 one:0|0|4|1 one:0|0|1",
    "bpf_instruction": (
        "one:0xb7|0x95|0x18|0|0x85|0x61|0x79|0x63|0x7b|0x7a|0x07|0x0f|0xbf|0x15|0x55|0x1d|0x05|0x57|0xdb|0x91|0xb4/1 "
        "one:0|1|2|0x10|0x12|0xa2|0x1a|0x21|0x0a|0x6a/1 one:0|0|0|1|2|-1|-4|-8|4|8/2 one:0|1|1|5|8|-4|16/4"
    ),
    "bpf_program": (
        "one:0x00000001000000b7 one:0x95 | one:0xb7|0x1000000b7 one:0x95 | one:0x0000000800001261|0x61 "
        "one:0x00000001000000b7 one:0x95 | bpf_instruction bpf_instruction bpf_instruction one:0x1000000b7 one:0x95"
    ),
    "bpf_load": (
        "one:15|15|9|1|8|18|5|7|17/4 one:2|3|5|4/4 <bpf_program bits one:0|1|2|7|16/4 one:0|4096/4 zero zero/4 "
        "flags:1|2|16/4 bytes[16] zero/4 one:6|0|2|34|8|10|14/4 zero zero"
    ),
    "bpf_attach": "fd:directory/4 fd:bpf/4 one:6|6|2|34|12|0|8|10|14/4 flags:1|2|4/4 fd:bpf/4 zero/4 zero",
    "bpf_link": "fd:bpf/4 fd:directory/4 one:6|6|2|34|12|0|8|10|14/4 flags:1/4 zero zero zero zero zero zero",
    "bpf_fd_query": "zero/4 fd:perf/4 zero/4 one:0|5|40/4 >bytes[40]? zero zero zero",
    "bpf_raw": "<path fd:bpf/4 zero/4 zero",
    "bpf_relink": "fd:bpf/4 fd:bpf/4 flags:4/4 fd:bpf/4",
    "bpf_query": "fd:directory/4 one:6|2|34|8/4 one:0|1|2/4 zero/4 >bytes[32]? one:0|1|8/4 zero/4 zero zero zero zero",
    "bpf_pin": (
        "<name:pin fd:bpf/4 flags:0x4000|8/4 zero/4 | <name:pin fd:bpf/4 one:0x4000/4 dir/4 | <path fd:bpf/4 zero"
    ),
    "bpf_get": (
        "<name:pin zero/4 flags:8|16/4 zero/4 | <name:pin zero/4 flags:0x4000|8|16/4 dir/4 | <path one:0|0|1/4 "
        "flags:8|16/4 one:0|1/4"
    ),
    "bpf_number": "one:0|1|2|3|4|100|-1/4 zero/4 one:0|0|8|16|24/4 zero/4",
    "bpf_descriptor": "fd:bpf/4 zero/4",
    "bpf_blob": (
        "one:0x1eb9f/4 one:24/4 zero/4 one:40|40|28/4 one:40|40|28/4 one:5/4 one:1/4 one:0x1000000/4 one:4/4 one:32/4 "
        "zero/4 one:0x4000001|0x5000001|0x2000000/4 one:8|4|1/4 one:1|0/4 one:1|2/4 one:0|32|3/4 one:0x746e6900/4 "
        "zero/1"
    ),
    "bpf_types": "<bpf_blob zero one:69|69|57|24/4 zero/4 zero/4 zero/4 zero/4 zero/4",
    "bpf_binding": "fd:bpf/4 fd:bpf/4 one:0|0|0|1/4 zero/4",
    "bpf_trial": (
        "fd:bpf/4 zero/4 one:60|14|13|100/4 one:0|10|100/4 =bytes[100] >bytes[100]? one:0|1|2|100/4 zero/4 zero/4 "
        "zero/4 zero zero one:0|0|4|1/4 zero/4 zero/4 zero/4 | fd:bpf/4 zero/4 one:60/4 zero/4 =bytes[60] zero "
        "one:1/4 zero/4 one:8|192/4 one:8|192/4 =bytes[192] >bytes[192] zero/4 zero/4 zero/4 zero/4"
    ),
    "bpf_question": "fd:bpf/4 one:0|8|88|232|240|4097/4 =bytes[240]?",
    "cachestat": "pad[40]",
    "cachestat_range": "offset size",
    "cap_data": "bits/4 bits/4 bits/4 bits/4 bits/4 bits/4",
    "cap_header": "one:0x19980330|0x20071026|0x20080522|0|1/4 pid/4",
    "clone_args": "flags:clone >fd:pidfd >tid >tid signal address size address zero zero zero",
    "control": (
        "one:20 one:SOL_SOCKET/4 one:SCM_RIGHTS/4 fd/4 fd/4 | one:24 one:SOL_SOCKET/4 one:SCM_RIGHTS/4 fd/4 "
        "fd/4 | one:28 one:SOL_SOCKET/4 one:2/4 pid/4 uid/4 gid/4 zero/4 | size one:level/4 int/4 bytes[16] | "
        "one:28 one:IPPROTO_IP/4 one:8/4 int/4 uint/4 uint/4 zero/4 | one:18 one:IPPROTO_UDP/4 one:103/4 "
        "int/4 zero/4"
    ),
    "epoll_event": "flags:epoll/4 int/8",
    "fdset": "bits bits bits bits bits bits bits bits bits bits bits bits bits bits bits bits",
    "file_handle": "one:0|8|12|20|24|40|127|128|129/4 int/4 bytes[128]",
    "flock": "one:0|1|2|3/2 one:0|1|2|3/2 zero/4 offset offset pid/4 zero/4",
    "mnt_id_req": (
        "one:32|32|24|0|23|40|4096|4097/4 one:0|0|0|3/4 one:-1|0|0x80000000|0x80000001..0x80000020|0xffffffff "
        "flags:1|2|4|8|0x10|0x20|0x40|0x80|0x100|0x80000001 one:0|0|1|2|-1"
    ),
    "mount_attr": (
        "flags:1|2|4|8|0x10|0x20|0x70|0x80 flags:1|2|4|8|0x70|0x80 "
        "one:0|0x20000|0x40000|0x80000|0x100000|0x60000 zero"
    ),
    "futex": "one:0|1|2|0x80000000|0x40000000|0x3fffffff/4 tid/4",
    "futex_waitv": "uint =futex one:futex2/4 zero/4",
    "ifconf": "int/4 zero/4 >bytes[160]",
    "ifreq": "text:interface[16] bytes[24]",
    "io_event": "pad[32]",
    "io_uring_params": (
        "zero/4 one:0|2|64|70000/4 flags:1|8|16|32|64|128|256|512|0x400|0x800|0x1000|0x2000|0x4000|0xc000|0x10000/4 "
        "zero/4 zero/4 zero/4 fd:io_uring/4 zero/4 zero/4 zero/4 pad[80] | "
        "zero/4 one:0|2|64|70000/4 one:2|6|4|34|38|66|4098|10|258|514|8194/4 one:0|0|0|1|-1/4 one:0|1|20|-1/4 zero/4 "
        "fd:io_uring/4 zero/4 zero/4 zero/4 pad[80]"
    ),
    "iocb": (
        "int zero/4 flags:rwf/4 one:0|1/2 int/2 fd/4 =message[length]? length.size one:0|0|0|8|4096|-1 zero "
        "flags:1|2/4 fd:eventfd/4 | int zero/4 flags:rwf/4 one:7|8/2 int/2 fd/4 =iovec[count] count.count "
        "one:0|0|0|8|4096|-1 zero flags:1|2/4 fd:eventfd/4 | int zero/4 zero/4 one:5/2 int/2 fd/4 flags:poll zero "
        "zero zero flags:1/4 fd:eventfd/4 | int zero/4 zero/4 one:2|3|4|6|9/2 int/2 fd/4 zero zero zero zero "
        "flags:1/4 fd:eventfd/4"
    ),
    "iocb_pointer": "=iocb",
    "iovec": "=message[length]? length.size",
    "key_numbers": "key_serial/4 key_serial/4 key_serial/4",
    "key_work": "key_serial/4 one:0|16|32|128/4 one:0|16|72|128/4 pad[28]",
    "kexec_segment": "=bytes[64] size one:0|0x1000|0x100000|0x1000000|0x1001000|0x800000000 one:0|0x1000|0x100000",
    "itimerspec": "timespec timespec",
    "itimerval": "timeval timeval",
    "landlock_path": "flags:1|2|4|8|0x10|0x20|0x80|0x100|0x2000|0x4000|0x8000|0x10000 fd/4",
    "landlock_port": "flags:1|2|4 one:0|7001|7002|65535|65536|-1",
    "length": "one:0|1|2|4|8|12|16|28|64|110|128|256|4096|-1|0x7fffffff/4",
    "loop_config": "fd/4 one:0|512|4096|3/4 bytes[24] limit limit bytes[256]",
    "lsm_ctx": "one:0|100|103|104|110 zero one:32|40|64|0|-1 one:0|8|32|-1 bytes[32]",
    "message": (
        "bytes[64] | bytes[700] | bytes[8] | one:40|40|28|36|44|24/4 one:rtnetlink/2 flags:netlink/2 zero/4 zero/4 "
        "one:0|2|10|17/1 one:0|8|32|128/1 bytes[6] one:0|1|2/4 one:8|5|4|0/2 one:0..20/2 one:address4/4 "
        "one:8/2 one:0..20/2 int/4 | one:32|40|48/4 one:rtnetlink/2 flags:netlink/2 zero/4 zero/4 "
        "one:0|2|10/1 bytes[1] one:0|1|772/2 one:0|1|2|3/4 flags:1|2|4|0x100|0x1000/4 "
        "flags:1|0x100|0xffffffff/4 one:8|7|4/2 one:0..40/2 uint/4 one:8/2 one:0..40/2 int/4 | one:72|76|16/4 "
        "one:18|19|20|21/2 flags:netlink/2 zero/4 zero/4 one:1|2|10|16|17/1 one:6|17|1|0|255/1 bytes[2] "
        "one:0|0xfff|0xffffffff/4 bytes[48] | one:52|52|44|28/4 one:24|25|26/2 flags:netlink/2 zero/4 zero/4 "
        "one:0|2|2|10/1 one:0|8|24|32|128/1 zero/1 zero/1 one:254|255|0/1 one:0|2|3|4/1 one:0|200|253|254/1 "
        "one:0..11/1 flags:0x100|0x200/4 one:8/2 one:1|5|7/2 one:address4/4 one:8/2 one:3|4|6/2 one:1|2|3/4 "
        "one:8/2 one:0..30/2 int/4 | one:68|68|48/4 one:24|25|26/2 flags:netlink/2 zero/4 zero/4 one:10/1 "
        "one:0|64|128/1 zero/1 zero/1 one:254|0/1 one:3|4/1 one:0|253/1 one:1|2/1 zero/4 one:20/2 one:1|5|7/2 "
        "bytes[16] one:8/2 one:4/2 one:1|2/4 one:8/2 one:6/2 int/4 zero/4 | one:44|36|28/4 one:28|29|30/2 "
        "flags:netlink/2 zero/4 zero/4 one:2|10/1 pad[3] one:1|2/4 one:1|2|4|8|0x40|0x80/2 one:0|1|0x80/1 "
        "one:0|1/1 one:8/2 one:1/2 one:address4/4 one:10/2 one:2|5/2 bytes[8] | one:40|48/4 one:32|33|34/2 "
        "flags:netlink/2 zero/4 zero/4 one:2|10/1 bytes[3] one:254|0/1 pad[2] one:1/1 zero/4 one:8/2 one:1|2|6|15/2 "
        "int/4 zero/8 | one:52|44/4 one:16|17|18|19/2 flags:netlink/2 zero/4 zero/4 one:0|10/1 pad[1] one:1|772/2 "
        "one:1|2/4 flags:1|2|0x100|0x1000/4 one:0|0xffffffff/4 one:12/2 one:3|29/2 text:interface[8] one:8/2 "
        "one:4|13/2 int/4"
    ),
    "mmsghdr": "msghdr int/4 zero/4",
    "mq_attr": "one:0|O_NONBLOCK|1 one:0|1|2|8|10|11|-1 one:0|1|64|8192|8193|-1 int pad[32]",
    "msgbuf": "int bytes[64]",
    "msghdr": (
        "=sockaddr[namelen]? namelen.size/4 zero/4 =iovec[iovlen] iovlen.count =control[controllen]? "
        "controllen.size flags:send"
    ),
    "msqid_ds": "permissions pad[40] one:0|1|64|16384|-1 pad[24]",
    "offset": "offset",
    "open_how": "flags:open mode flags:resolve",
    "option_value": (
        "int/4 | int | timeval | int/4 int/4 | sock_fprog | uint/4 uint/4 int/4 | bytes[16] | bytes[40] | "
        "text:interface[16] | one:address4/4 one:address4/4 int/4 | bytes[136]"
    ),
    "owner": "one:0|1|2|3/4 pid/4",
    "perf_event_attr": (
        "one:1|1|1|2|2|0|3|5/4 one:136|136|0|64|112|128|63|144/4 one:0..12|1..6|1024..1800 "
        "one:0|0|1|1|2|100|10000|1000000|-1 "
        "flags:1|2|4|8|16|32|64|0x80|0x100|0x200|0x400|0x1000|0x2000|0x10000|0x20000 flags:1|2|4|8|16 "
        "flags:1|2|4|0x10|0x20|0x80|0x100|0x200|0x400|0x800|0x1000|0x2000|0x4000|0x20000|0x40000|0x800000|0x1000000"
        "|0x2000000|0x4000000|0x8000000|0x800000000|0x1000000000 one:0|1|3|4096/4 zero/4 zero zero zero "
        "flags:1|2|0x80|0x100|0xff0000 one:0|8|64|8192|65535/4 one:0|1|4|7|11/4 zero zero/4 one:0|1|127|128/2 "
        "zero/2 zero/4 zero/4 zero zero"
    ),
    "permissions": "key/4 uid/4 gid/4 uid/4 gid/4 mode/4 pad[24]",
    "pollfd": "fd/4 flags:poll/2 zero/2",
    "range": "offset size",
    "rlimit": "limit limit",
    "robust_list": "address int address",
    "route": (
        "pad[8] one:2/2 one:port/2 one:address4/4 pad[8] one:2/2 pad[2] one:address4/4 pad[8] one:2/2 pad[2] "
        "one:address4/4 pad[8] flags:1|2|4|0x200/2 pad[38]"
    ),
    "rseq": "bytes[32]",
    "ruleset_attr": "flags:1|2|4|8|0x10|0x20|0x80|0x100|0x2000|0x4000|0x8000|0x10000 flags:1|2|4 flags:1|2|4 zero",
    "rusage": "pad[144]",
    "sched_attr": (
        "one:48|56|0|64/4 one:policy/4 flags:1|2|4|8|16|32|64/8 int/4 int/4 nanoseconds nanoseconds "
        "nanoseconds uint/4 uint/4"
    ),
    "sched_param": "one:0|0|0|1|2|50|99|100|-1/4",
    "segment": "uint/4 uint/4 uint/4 bits/4",
    "sembuf": "index/2 int/2 flags:IPC_NOWAIT|IPC_NOWAIT|SEM_UNDO/2",
    "shmid_ds": "permissions pad[64]",
    "sigaction": "handler flags:1|2|4|0x800|0x04000000|0x08000000|0x10000000|0x40000000|0x80000000 restorer bits",
    "sigevent": "int signal/4 one:0|0|1|2|4|3/4 tid/4 pad[44]",
    "siginfo": "signal/4 int/4 one:si_code/4 zero/4 pid/4 uid/4 int pad[96]",
    "sigmask_argument": "<sigset one:8",
    "sigset": "bits",
    "sock_filter": "one:bpf/2 one:0|1|2|255/1 one:0|1|2|255/1 one:0x7fff0000|0x7ff00000|0x50001|0|4|0xfffff000|-1/4",
    "sock_fprog": "length.count/2 zero/2 zero/4 <sock_filter[length]",
    "sockaddr": (
        "one:AF_INET/2 one:port/2 one:address4/4 pad[8] | one:AF_UNIX/2 text:socket_name[20] | one:AF_INET6/2 "
        "one:port/2 uint/4 zero one:0|1ull<<56|0x0100007fffff0000/8 one:0|1|2/4 | one:AF_UNIX/2 "
        "text:socket_name[108] | one:AF_NETLINK/2 zero/2 one:0|0|1|77/4 bits/4 | one:AF_PACKET/2 "
        "one:be16(3)|be16(0x800)/2 one:0|1|2/4 one:1|772/2 one:0|4/1 one:6/1 bytes[8] | one:AF_UNSPEC/2 "
        "bytes[14]"
    ),
    "stack": "address flags:1|2|0x80000000/4 zero/4 size",
    "stat": "pad[144]",
    "statfs": "pad[120]",
    "statx": "pad[256]",
    "strings": "<name:text <name:text zero",
    "sysinfo": "pad[112]",
    "termios": "bits/4 bits/4 bits/4 bits/4 one:0|0|1|2/1 bytes[19]",
    "timespec": "seconds nanoseconds",
    "timeval": "seconds microseconds",
    "timevals": "timeval timeval",
    "timex": (
        "flags:adjustment/4 zero/4 int int int int one:timex_status/4 zero/4 int int int timeval "
        "one:10000|9000|11000|0 pad[96]"
    ),
    "timezone": "int/4 int/4",
    "tms": "pad[32]",
    "uring_buffers": "one:1|2|4|4/4 one:0|0|0|1|2/4 zero <iovec[4]? <uring_tags?",
    "uring_cancel": "one:0|1|2 fd/4 flags:1|2|4|8|16|32|64/4 one:-1 one:-1 one:0|0|6|11|22 zero zero zero",
    "uring_clock": "one:0|1|1|7|7|4|-1/4 zero/4 zero/4 one:0|0|0|1/4",
    "uring_clone": "fd:io_uring/4 one:0|0|0|1|2/4 zero zero one:0|0|0|1",
    "uring_file": "fd/4",
    "uring_files": "one:1|2|4|4/4 one:0|0|0|1|2/4 zero <uring_file[4]? <uring_tags?",
    "uring_group": "zero one:1|2|4|3|0|65536/4 one:0|0|1|5/2 one:0|1|1|2/2 zero zero zero",
    "uring_napi": "one:0|50|9999|20000|-1/4 one:0|1|7/1 one:0|0|0|1/1 zero/2 one:0|0|0|1",
    "uring_new_buffers": "one:0|0|1|3|-1/4 zero/4 <iovec[4]? <uring_tags? one:1|1|2|4/4 zero/4",
    "uring_new_files": "one:0|0|1|3|-1/4 zero/4 <uring_file[4]? <uring_tags? one:1|1|2|4/4 zero/4",
    "uring_range": "one:0|1|3|4|-1/4 one:0|1|2|4|5|-1/4 one:0|0|0|1",
    "uring_status": "one:0|0|1|5|65536/4 zero/4 zero zero zero one:0|0|0|1",
    "uring_tags": "one:0|1|2|-1 one:0|0|3 one:0|0|4 one:0|0|5",
    "uring_update": "one:0|1|2|-1/4 zero/4 =uring_file[4]",
    "uring_workers": "one:0|0|1|4|0x7fffffff|0x80000000/4 one:0|0|1|7|0x7fffffff|0x80000000/4",
    "ustat": "pad[32]",
    "utimbuf": "seconds seconds",
    "utimens": "seconds one:utime seconds one:utime",
    "utsname": "pad[390]",
    "uffd_api": "one:0xaa|0xaa|0 flags:1|0x20|0x80|0x100|0x400|0x800|0x1000|0x2000|0x4000|0x8000|0x10000 pad[8]",
    "uffd_copy": "address address one:0x1000|0x2000|1|-1 flags:1|2 pad[8]",
    "uffd_page": "address one:0x1000|0x2000|0x10000|1|-1 flags:1|2|4 pad[8]",
}

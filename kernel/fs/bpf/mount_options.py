"""The options of mounts of the file system bpf: mode and owners of the root directory, and what tokens delegate.

`delegate_cmds` and its kin name commands, types of maps and programs, and places by their names in bpf.h, or give a
mask (`kernel/bpf/token.py`).

Context: takes safe points while it reads options. Raises MemoryError. Source: Linux's include/uapi/linux/bpf.h.
"""

from typing import Final

from kernel.fs.filesystem import split_option
from kernel.fs.root_choice import RootChoice
from kernel.lang import EPERM, Errno, final
from kernel.lib.numbers import parse_mask
from kernel.lib.pace import pace

_COMMANDS: Final = (
    b"map_create map_lookup_elem map_update_elem map_delete_elem map_get_next_key prog_load obj_pin obj_get "
    b"prog_attach prog_detach prog_test_run prog_get_next_id map_get_next_id prog_get_fd_by_id map_get_fd_by_id "
    b"obj_get_info_by_fd prog_query raw_tracepoint_open btf_load btf_get_fd_by_id task_fd_query "
    b"map_lookup_and_delete_elem map_freeze btf_get_next_id map_lookup_batch map_lookup_and_delete_batch "
    b"map_update_batch map_delete_batch link_create link_update link_get_fd_by_id link_get_next_id enable_stats "
    b"iter_create link_detach prog_bind_map token_create"
)
_MAPS: Final = (
    b"unspec hash array prog_array perf_event_array percpu_hash percpu_array stack_trace cgroup_array lru_hash "
    b"lru_percpu_hash lpm_trie array_of_maps hash_of_maps devmap sockmap cpumap xskmap sockhash "
    b"cgroup_storage_deprecated reuseport_sockarray percpu_cgroup_storage_deprecated queue stack sk_storage "
    b"devmap_hash struct_ops ringbuf inode_storage task_storage bloom_filter user_ringbuf cgrp_storage arena"
)
_PROGRAMS: Final = (
    b"unspec socket_filter kprobe sched_cls sched_act tracepoint xdp perf_event cgroup_skb cgroup_sock lwt_in "
    b"lwt_out lwt_xmit sock_ops sk_skb cgroup_device sk_msg raw_tracepoint cgroup_sock_addr lwt_seg6local "
    b"lirc_mode2 sk_reuseport flow_dissector cgroup_sysctl raw_tracepoint_writable cgroup_sockopt tracing "
    b"struct_ops ext lsm sk_lookup syscall netfilter"
)
_PLACES: Final = (
    b"cgroup_inet_ingress cgroup_inet_egress cgroup_inet_sock_create cgroup_sock_ops sk_skb_stream_parser "
    b"sk_skb_stream_verdict cgroup_device sk_msg_verdict cgroup_inet4_bind cgroup_inet6_bind cgroup_inet4_connect "
    b"cgroup_inet6_connect cgroup_inet4_post_bind cgroup_inet6_post_bind cgroup_udp4_sendmsg cgroup_udp6_sendmsg "
    b"lirc_mode2 flow_dissector cgroup_sysctl cgroup_udp4_recvmsg cgroup_udp6_recvmsg cgroup_getsockopt "
    b"cgroup_setsockopt trace_raw_tp trace_fentry trace_fexit modify_return lsm_mac trace_iter "
    b"cgroup_inet4_getpeername cgroup_inet6_getpeername cgroup_inet4_getsockname cgroup_inet6_getsockname "
    b"xdp_devmap cgroup_inet_sock_release xdp_cpumap sk_lookup xdp sk_skb_verdict sk_reuseport_select "
    b"sk_reuseport_select_or_migrate perf_event trace_kprobe_multi lsm_cgroup struct_ops netfilter tcx_ingress "
    b"tcx_egress trace_uprobe_multi cgroup_unix_connect cgroup_unix_sendmsg cgroup_unix_recvmsg "
    b"cgroup_unix_getpeername cgroup_unix_getsockname netkit_primary netkit_peer trace_kprobe_session"
)
_OPTIONS: Final[list[bytes]] = [b"delegate_cmds", b"delegate_maps", b"delegate_progs", b"delegate_attachs"]
_OTHER_NAMES: Final[dict[bytes, bytes]] = {
    b"prog_run": b"prog_test_run",
    b"cgroup_storage": b"cgroup_storage_deprecated",
    b"percpu_cgroup_storage": b"percpu_cgroup_storage_deprecated",
}
# Instructions, for `pace`
_OPTION_COST: Final = 10_000
_WORD_COST: Final = 1_500
_ALL: Final = (1 << 62) - 1  # of a mask of 64 bits, those that any name can have


@final
class BpfOptions:
    """The options in a text."""

    def __init__(self, text: bytes, *, may_delegate: bool) -> None:
        """Raises EINVAL, ERANGE; EPERM for delegation by a caller that may not. Unknown options are ignored."""
        self.root: RootChoice = RootChoice()
        self.delegated: list[int] = [0, 0, 0, 0]  # masks, in the order of _OPTIONS
        for option in text.split(b","):
            name, value = split_option(option)
            if self.root.take(name, value):
                continue
            for kind in range(len(_OPTIONS)):
                if name == _OPTIONS[kind]:
                    pace(_OPTION_COST)
                    mask = _delegation(_names(kind), value)
                    if mask != 0 and not may_delegate:
                        raise Errno(EPERM)
                    self.delegated[kind] |= mask


def _names(kind: int) -> list[bytes]:
    """What an option can delegate, from bit 0 on. Raises MemoryError."""
    names = _COMMANDS if kind == 0 else _MAPS if kind == 1 else _PROGRAMS if kind == 2 else _PLACES
    return names.split(b" ")


def _delegation(names: list[bytes], value: bytes) -> int:
    """The mask that an option means. A number replaces what stands before it, as on Linux. Raises EINVAL, ERANGE."""
    mask = 0
    for word in value.split(b":"):
        pace(_WORD_COST)
        if word == b"any":
            mask = _ALL
            continue
        small = _in_small_letters(word)
        name = _OTHER_NAMES.get(small, small)
        if name in names:
            mask |= 1 << names.index(name)
        else:
            mask = parse_mask(word)
    return mask


def _in_small_letters(word: bytes) -> bytes:
    small = bytearray(word)
    for index in range(len(small)):
        if ord("A") <= small[index] <= ord("Z"):
            small[index] |= 0x20
    return bytes(small)


def show_delegated(delegated: list[int]) -> bytes:
    """Masks as options for /proc/mounts, each after a comma. Raises MemoryError."""
    text = b""
    for kind in range(len(_OPTIONS)):
        if delegated[kind] == 0:
            continue
        names = _names(kind)
        known = (1 << len(names)) - 1
        mask = delegated[kind] & known
        if mask == 0:
            continue
        shown: list[bytes] = [b"any"]
        if mask != known:
            shown = [names[bit] for bit in range(len(names)) if mask >> bit & 1 != 0]
        text += b"," + _OPTIONS[kind] + b"=" + b":".join(shown)
    return text

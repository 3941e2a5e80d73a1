"""bpf(2): maps, programs, their attachments and links, and names of them."""

from typing import Final

from kernel.bpf.btf import DESCRIPTIONS
from kernel.bpf.kept_maps import MAPS
from kernel.bpf.link import LINKS
from kernel.bpf.program import KEPT
from kernel.doors.table import syscall
from kernel.lang import EINVAL, Errno, UserAddr, i32, u32
from kernel.syscalls.bpf_arguments import Attributes
from kernel.syscalls.bpf_batches import delete_batch, look_up_batch, update_batch
from kernel.syscalls.bpf_btf import load_btf, open_btf
from kernel.syscalls.bpf_events import open_raw_point
from kernel.syscalls.bpf_fd_query import query_descriptor
from kernel.syscalls.bpf_groups import attach_program, detach_program, query
from kernel.syscalls.bpf_information import bind_map, enable_statistics, next_number, open_map, open_program, tell
from kernel.syscalls.bpf_links import change_link, create_iterator, create_link, cut, open_link
from kernel.syscalls.bpf_maps import create_map, delete, freeze_map, look_up, look_up_and_delete, next_key, update
from kernel.syscalls.bpf_pins import get_object, pin_object
from kernel.syscalls.bpf_programs import load
from kernel.syscalls.bpf_test_run import test_run
from kernel.syscalls.bpf_tokens import create_token

_MAP_CREATE: Final = 0
_MAP_LOOKUP_ELEM: Final = 1
_MAP_UPDATE_ELEM: Final = 2
_MAP_DELETE_ELEM: Final = 3
_MAP_GET_NEXT_KEY: Final = 4
_PROG_LOAD: Final = 5
_OBJ_PIN: Final = 6
_OBJ_GET: Final = 7
_PROG_ATTACH: Final = 8
_PROG_DETACH: Final = 9
_PROG_TEST_RUN: Final = 10
_PROG_GET_NEXT_ID: Final = 11
_MAP_GET_NEXT_ID: Final = 12
_PROG_GET_FD_BY_ID: Final = 13
_MAP_GET_FD_BY_ID: Final = 14
_OBJ_GET_INFO_BY_FD: Final = 15
_PROG_QUERY: Final = 16
_RAW_TRACEPOINT_OPEN: Final = 17
_BTF_LOAD: Final = 18
_BTF_GET_FD_BY_ID: Final = 19
_TASK_FD_QUERY: Final = 20
_BTF_GET_NEXT_ID: Final = 23
_MAP_LOOKUP_AND_DELETE_ELEM: Final = 21
_MAP_FREEZE: Final = 22
_MAP_LOOKUP_BATCH: Final = 24
_MAP_LOOKUP_AND_DELETE_BATCH: Final = 25
_MAP_UPDATE_BATCH: Final = 26
_MAP_DELETE_BATCH: Final = 27
_LINK_CREATE: Final = 28
_LINK_UPDATE: Final = 29
_LINK_GET_FD_BY_ID: Final = 30
_LINK_GET_NEXT_ID: Final = 31
_ENABLE_STATS: Final = 32
_ITER_CREATE: Final = 33
_LINK_DETACH: Final = 34
_PROG_BIND_MAP: Final = 35
_TOKEN_CREATE: Final = 36


@syscall(
    "bpf", status="Partial",
    args="one:0(=bpf_map)|1(=bpf_element)|2(=bpf_element)|3(=bpf_element)|4(=bpf_element)|5(=bpf_load)|"
    "6(=bpf_pin)|7(=bpf_get)|8(=bpf_attach)|9(=bpf_attach)|10(=bpf_trial)|11(=bpf_number)|12(=bpf_number)|"
    "13(=bpf_number)|14(=bpf_number)|15(=bpf_question)|16(=bpf_query)|17(=bpf_raw)|18(=bpf_types)|19(=bpf_number)|20(=bpf_fd_query)|21(=bpf_element)|"
    "22(=bpf_descriptor)|23(=bpf_number)|"
    "24(=bpf_batch)|25(=bpf_batch)|26(=bpf_batch)|"
    "27(=bpf_batch)|28(=bpf_link)|29(=bpf_relink)|"
    "30(=bpf_number)|31(=bpf_number)|32(=bpf_descriptor)|33(=bpf_descriptor)|34(=bpf_descriptor)|"
    "35(=bpf_binding)|36(=bpf_number) any "
    "one:4|8|16|20|24|32|40|64|80|148|152|4097 -> fd:bpf",
    notes="Maps: all but USER_RINGBUF, INODE_STORAGE, and those of devices and sockets. Programs: SOCKET_FILTER, "
    "CGROUP_SKB, CGROUP_SOCK, CGROUP_SOCK_ADDR, CGROUP_DEVICE, TRACEPOINT, PERF_EVENT and RAW_TRACEPOINT (system "
    "calls). Links: of control groups, events and raw tracepoints. BTF of programs and maps, none of the kernel's own",
)  # fmt: skip
def bpf(command: i32, address: UserAddr, size: u32) -> int:
    """bpf(2)."""
    attributes = Attributes(address, size)
    if command <= _MAP_GET_NEXT_KEY or command == _MAP_LOOKUP_AND_DELETE_ELEM or command == _MAP_FREEZE:
        return _of_maps(command, attributes)
    if command == _PROG_LOAD:
        return load(attributes)
    if command == _OBJ_PIN:
        return pin_object(attributes)
    if command == _OBJ_GET:
        return get_object(attributes)
    if command == _PROG_ATTACH:
        return attach_program(attributes)
    if command == _PROG_DETACH:
        return detach_program(attributes)
    if command == _PROG_QUERY:
        return query(attributes)
    if command == _PROG_TEST_RUN:
        return test_run(attributes)
    if command == _PROG_GET_NEXT_ID or command == _MAP_GET_NEXT_ID:
        return next_number(attributes, KEPT.program_numbers if command == _PROG_GET_NEXT_ID else MAPS.numbers)
    if command == _PROG_GET_FD_BY_ID:
        return open_program(attributes)
    if command == _MAP_GET_FD_BY_ID:
        return open_map(attributes)
    if command == _OBJ_GET_INFO_BY_FD:
        return tell(attributes)
    if command == _PROG_BIND_MAP:
        return bind_map(attributes)
    if command == _ENABLE_STATS:
        return enable_statistics(attributes)
    if _MAP_LOOKUP_BATCH <= command <= _MAP_DELETE_BATCH:
        return _of_batches(command, attributes)
    return _of_links(command, attributes)


def _of_batches(command: int, attributes: Attributes) -> int:
    if command == _MAP_UPDATE_BATCH:
        return update_batch(attributes)
    if command == _MAP_DELETE_BATCH:
        return delete_batch(attributes)
    return look_up_batch(attributes, removes=command == _MAP_LOOKUP_AND_DELETE_BATCH)


def _of_links(command: int, attributes: Attributes) -> int:
    if command == _LINK_CREATE:
        return create_link(attributes)
    if command == _LINK_UPDATE:
        return change_link(attributes)
    if command == _LINK_GET_FD_BY_ID:
        return open_link(attributes)
    if command == _LINK_GET_NEXT_ID:
        return next_number(attributes, LINKS.numbers)
    if command == _LINK_DETACH:
        return cut(attributes)
    if command == _TOKEN_CREATE:
        return create_token(attributes)
    if command == _ITER_CREATE:
        return create_iterator(attributes)
    if command == _RAW_TRACEPOINT_OPEN:
        return open_raw_point(attributes)
    if command == _TASK_FD_QUERY:
        return query_descriptor(attributes)
    if command == _BTF_LOAD:
        return load_btf(attributes)
    if command == _BTF_GET_FD_BY_ID:
        return open_btf(attributes)
    if command == _BTF_GET_NEXT_ID:
        return next_number(attributes, DESCRIPTIONS.numbers)
    raise Errno(EINVAL)


def _of_maps(command: int, attributes: Attributes) -> int:
    if command == _MAP_CREATE:
        return create_map(attributes)
    if command == _MAP_LOOKUP_ELEM:
        return look_up(attributes)
    if command == _MAP_UPDATE_ELEM:
        return update(attributes)
    if command == _MAP_DELETE_ELEM:
        return delete(attributes)
    if command == _MAP_GET_NEXT_KEY:
        return next_key(attributes)
    if command == _MAP_LOOKUP_AND_DELETE_ELEM:
        return look_up_and_delete(attributes)
    if command == _MAP_FREEZE:
        return freeze_map(attributes)
    raise Errno(EINVAL)

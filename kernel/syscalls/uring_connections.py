"""Operations of io_uring on connections: ACCEPT, CONNECT, SHUTDOWN, SOCKET, BIND, LISTEN.

As those that send and receive (uring_sockets.py), they never wait in a socket. Source: io_uring_enter(2).
"""

from typing import Final

from kernel.fs.constants import O_CLOEXEC, O_NONBLOCK, READABLE, WRITABLE
from kernel.lang import EAGAIN, EALREADY, EINPROGRESS, Errno
from kernel.lib.pace import pace
from kernel.net.sockets.socket import SOCK_TYPE_MASK, Socket
from kernel.syscalls.socket import accept_from, bind_to, connect_to, listen_with, socket
from kernel.syscalls.socket_arguments import read_address
from kernel.syscalls.uring_arguments import refuse_if
from kernel.syscalls.uring_names import put_into_slot, slot_of
from kernel.syscalls.uring_selecting import note_rest
from kernel.syscalls.uring_sockets import socket_of, wait_first
from kernel.task import current
from kernel.task.words import signed_32
from kernel.uring import layout
from kernel.uring.operation import Operation
from kernel.uring.request import GOES_ON, Request

_ACCEPT_MULTISHOT: Final = 1 << 0
_ACCEPT_DONTWAIT: Final = 1 << 1
_ACCEPT_POLL_FIRST: Final = 1 << 2
_TYPE_FLAGS: Final = O_CLOEXEC | O_NONBLOCK
_MOST_ROUNDS: Final = 32  # of a multishot request, before others run
_ROUND_COST: Final = 5000  # instructions, for `pace`
_ANY_SLOT: Final = 0xFFFF_FFFF


def _prepare_accept(request: Request) -> None:
    refuse_if(request.entry.length != 0 or request.entry.buffer_index != 0)
    how = request.entry.priority
    refuse_if(how & ~(_ACCEPT_MULTISHOT | _ACCEPT_DONTWAIT | _ACCEPT_POLL_FIRST) != 0)
    slot = slot_of(request)
    if slot != 0:
        refuse_if(request.entry.modifiers & O_CLOEXEC != 0)
        refuse_if(how & _ACCEPT_MULTISHOT != 0 and slot != _ANY_SLOT)
    refuse_if(request.entry.modifiers & ~_TYPE_FLAGS != 0)
    request.never_waits = how & _ACCEPT_DONTWAIT != 0


def _accept(request: Request) -> int:
    listening = socket_of(request)
    wait_first(request, _ACCEPT_POLL_FIRST)
    if request.entry.priority & _ACCEPT_MULTISHOT == 0:
        made = _accept_one(request, listening)
        note_rest(request, listening)
        return made
    for _ in range(_MOST_ROUNDS):
        made = _accept_one(request, listening)
        is_known_to_be_empty = note_rest(request, listening)
        if not request.ring.post_more(request.entry.user_data, made, request.end.flags | layout.CQE_MORE):
            return made
        request.end.flags = 0
        if is_known_to_be_empty:
            raise Errno(EAGAIN)
        pace(_ROUND_COST)
    return GOES_ON


def _accept_one(request: Request, listening: Socket) -> int:
    files = current().files
    number = files.reserve()
    try:
        if listening.is_listening and listening.poll(None) & READABLE == 0:
            raise Errno(EAGAIN)
        accepted = accept_from(listening, request.entry.modifiers & O_NONBLOCK, request.memory(), request.memory2())
    except (Errno, MemoryError):
        files.give_back(number)
        raise
    made = files.fill(number, accepted, request.entry.modifiers & O_CLOEXEC != 0)
    slot = slot_of(request)
    return made if slot == 0 else put_into_slot(request.ring, made, slot)


def _prepare_connect(request: Request) -> None:
    refuse_if(request.entry.length != 0 or request.entry.buffer_index != 0)
    refuse_if(request.entry.modifiers != 0 or request.entry.other != 0)
    request.more().name = read_address(request.memory(), signed_32(request.entry.offset))


def _connect(request: Request) -> int:
    target = socket_of(request)
    if request.progress.is_in_progress:
        if target.poll(None) & request.events == 0:
            raise Errno(EAGAIN)
        error = target.take_error()
        if error != 0:
            raise Errno(error)
        return 0
    code = 0
    try:
        connect_to(target, request.more().name, waits=False)
    except Errno as error_of_call:
        code = error_of_call.code
    if code == EINPROGRESS or code == EALREADY:
        request.progress.is_in_progress = True
        raise Errno(EAGAIN)
    if code != 0:
        raise Errno(code)
    return 0


def _prepare_shutdown(request: Request) -> None:
    refuse_if(request.entry.offset != 0 or request.entry.address != 0 or request.entry.modifiers != 0)
    refuse_if(request.entry.buffer_index != 0 or request.entry.other != 0)


def _shut_down(request: Request) -> int:
    socket_of(request).shut_down(signed_32(request.entry.length))
    return 0


def _prepare_socket(request: Request) -> None:
    refuse_if(request.entry.address != 0 or request.entry.modifiers != 0 or request.entry.buffer_index != 0)
    flags = request.entry.offset & ~SOCK_TYPE_MASK
    refuse_if(slot_of(request) != 0 and flags & O_CLOEXEC != 0)
    refuse_if(flags & ~_TYPE_FLAGS & 0xFFFF_FFFF != 0)


def _socket(request: Request) -> int:
    made = socket(request.entry.descriptor, signed_32(request.entry.offset), signed_32(request.entry.length))
    slot = slot_of(request)
    return made if slot == 0 else put_into_slot(request.ring, made, slot)


def _bind(request: Request) -> int:
    bind_to(socket_of(request), request.more().name)
    return 0


def _prepare_listen(request: Request) -> None:
    refuse_if(request.entry.address != 0 or request.entry.buffer_index != 0 or request.entry.modifiers != 0)
    refuse_if(request.entry.other != 0 or request.entry.offset != 0)


def _listen(request: Request) -> int:
    listen_with(socket_of(request), signed_32(request.entry.length))
    return 0


Operation(13, _prepare_accept, _accept, needs_file=True, takes_priority=True, events=READABLE)
Operation(16, _prepare_connect, _connect, needs_file=True, events=WRITABLE)
Operation(34, _prepare_shutdown, _shut_down, needs_file=True)
Operation(45, _prepare_socket, _socket)
Operation(56, _prepare_connect, _bind, needs_file=True)
Operation(57, _prepare_listen, _listen, needs_file=True)

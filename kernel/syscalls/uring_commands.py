"""URING_CMD, the operation of io_uring for what each kind of file does its own way: sockets have four commands, block
devices one. /dev/null takes any, and does nothing.

Source: io_uring_enter(2), io_uring_prep_cmd_sock(3).
"""

from typing import Final

from kernel.fs.devices.memory import NullFile, ZeroFile
from kernel.fs.disks.block_file import BlockFile
from kernel.lang import EFAULT, EINVAL, EOPNOTSUPP, Errno, UserAddr
from kernel.net.sockets.socket import SOL_SOCKET, Socket
from kernel.syscalls.getsockopt import get_option_of, set_option_of
from kernel.syscalls.uring_arguments import refuse_if
from kernel.task.words import signed_32
from kernel.uring import layout
from kernel.uring.operation import Operation
from kernel.uring.request import Request
from kernel.uring.retirement import use_resource

_FIXED_BUFFER: Final = 1 << 0  # IORING_URING_CMD_FIXED
_HALF_BITS: Final = 32

_SOCKET_INPUT: Final = 0
_SOCKET_OUTPUT: Final = 1
_GET_OPTION: Final = 2
_SET_OPTION: Final = 3

_DISCARD: Final = 0x1200  # BLOCK_URING_CMD_DISCARD


def _prepare(request: Request) -> None:
    refuse_if(request.entry.offset >> _HALF_BITS != 0)
    refuse_if(request.entry.modifiers & ~_FIXED_BUFFER != 0)
    if request.entry.modifiers & _FIXED_BUFFER != 0:
        if request.entry.buffer_index >= len(request.ring.registered.buffers.slots):
            raise Errno(EFAULT)
        use_resource(request)


def _run(request: Request) -> int:
    file = request.file
    if request.ring.setup & layout.SETUP_IOPOLL != 0:
        raise Errno(EOPNOTSUPP)  # none of these is polled for
    if isinstance(file, Socket):
        return _run_on_socket(request, file)
    if isinstance(file, BlockFile):
        return _run_on_disk(request, file)
    if isinstance(file, NullFile) and not isinstance(file, ZeroFile):
        return 0
    raise Errno(EOPNOTSUPP)


def _run_on_socket(request: Request, socket: Socket) -> int:
    """`addr` holds an option's level and its name, `file_index` the length of its value, `addr3` where that lies."""
    command = request.entry.offset
    if command in (_SOCKET_INPUT, _SOCKET_OUTPUT) and not socket.takes_ring_commands():
        raise Errno(EOPNOTSUPP)
    if command == _SOCKET_INPUT:
        return socket.readable_bytes()
    if command == _SOCKET_OUTPUT:
        return socket.unsent_bytes()
    level = signed_32(request.entry.address)
    name = signed_32(request.entry.address >> _HALF_BITS)
    if command == _GET_OPTION:
        if level != SOL_SOCKET:
            raise Errno(EOPNOTSUPP)
        refuse_if(request.entry.other < 0)
        return get_option_of(socket, level, name, request.memory3(), request.entry.other, UserAddr(0))
    if command == _SET_OPTION:
        set_option_of(socket, level, name, request.memory3(), request.entry.other)
        return 0
    raise Errno(EOPNOTSUPP)


def _run_on_disk(request: Request, file: BlockFile) -> int:
    refuse_if(request.entry.length != 0 or request.entry.modifiers != 0 or request.entry.other != 0)
    if request.entry.offset != _DISCARD:
        raise Errno(EINVAL)
    file.discard(request.entry.address, request.entry.address3)
    return 0


Operation(46, _prepare, _run, needs_file=True)

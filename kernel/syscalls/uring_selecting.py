"""Sending from provided buffers and receiving into them: one buffer at a time, or several (IORING_RECVSEND_BUNDLE),
once or again and again (IORING_RECV_MULTISHOT).

Source: io_uring_enter(2), io_uring_prep_recv(3), io_uring_prep_send(3), io_uring_prep_recvmsg_multishot(3).
"""

from typing import Final, Literal

from kernel.fs.constants import MAX_RW_COUNT, READABLE
from kernel.lang import EAGAIN, EFAULT, Array, Errno, UserAddr, u8
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.net.sockets.socket import (
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_WAITALL,
    Message,
    Socket,
    release_files,
)
from kernel.net.tcp.socket import TcpSocket
from kernel.syscalls.ancillary_arguments import ControlWriter
from kernel.syscalls.uring_buffers import name_buffer, put_back, select, use
from kernel.syscalls.uring_bundles import Selection, select_bundle
from kernel.syscalls.uring_messages import (
    DESCRIPTION_BYTES,
    KeptHeader,
    header_of,
    memory_of,
    rest_of,
    transfer,
    use_for,
    waits_for_rest,
)
from kernel.task import current
from kernel.uring import layout
from kernel.uring.buffers import Chosen
from kernel.uring.request import GOES_ON, Request

BUNDLE: Final = 1 << 4  # in `ioprio` of sending and receiving
MULTISHOT: Final = 1 << 1
_MOST_ROUNDS: Final = 32  # of a multishot request, before others run
_ROUND_COST: Final = 3000  # instructions, for `pace`


def note_rest(request: Request, source: Socket) -> bool:
    """Let the completion say whether there is more to receive, which only TCP knows; whether it is known that there is
    not.
    """
    if not isinstance(source, TcpSocket):
        return False
    if source.poll(None) & READABLE == 0:
        return True
    request.end.flags |= layout.CQE_SOCK_NONEMPTY
    return False


def _post(request: Request, result: int) -> bool:
    """Enter one of several completions; False if the request must end with it instead."""
    if not request.ring.post_more(request.entry.user_data, result, request.end.flags | layout.CQE_MORE):
        return False
    request.end.flags = 0
    return True


# ---- Receiving -------------------------------------------------------------------------------------------------------


def receive_selecting(request: Request, source: Socket, flags: int) -> int:
    """Receive into a provided buffer; if it is multishot, into one after the other."""
    if request.entry.priority & BUNDLE != 0:
        return _receive_bundles(request, source, flags)
    for _ in range(_MOST_ROUNDS):
        chosen = select(request, request.entry.length)
        try:
            done = transfer(source, Message(memory_of(chosen), flags), is_sent=False)
        except (Errno, MemoryError):
            put_back(request, chosen)
            raise
        use_for(request, chosen, done)
        is_known_to_be_empty = note_rest(request, source)
        if done == 0 or request.entry.priority & MULTISHOT == 0 or not _post(request, done):
            return done
        if is_known_to_be_empty:
            raise Errno(EAGAIN)  # it takes a buffer when more comes
        pace(_ROUND_COST)
    return GOES_ON


def _receive_bundles(request: Request, source: Socket, flags: int) -> int:
    """The same into several buffers at once, as soon as it is known how much there is. Where what was taken before that
    is full, what follows belongs to the same completion.
    """
    known = 0
    for _ in range(_MOST_ROUNDS):
        most = request.entry.length
        if known > 0:
            most = known if most == 0 else min(most, known)
        selection = select_bundle(request, most, expands=known > 0)
        done = _receive_into(request, source, flags, selection)
        is_known_to_be_empty = note_rest(request, source)
        known = source.readable_bytes() if isinstance(source, TcpSocket) else 0
        is_full = done > 0 and done == selection.room() and not selection.is_last
        if is_full and known > 1 and request.entry.length == 0:
            done += _receive_more(request, source, flags, known, selection)  # fits: as many bytes were received
            is_known_to_be_empty = note_rest(request, source)
            known = source.readable_bytes() if isinstance(source, TcpSocket) else 0
        if done == 0 or selection.is_last or request.entry.priority & MULTISHOT == 0 or not _post(request, done):
            return done
        if is_known_to_be_empty:
            raise Errno(EAGAIN)  # it takes a buffer when more comes
        pace(_ROUND_COST)
    return GOES_ON


def _receive_into(request: Request, source: Socket, flags: int, selection: Selection) -> int:
    """Receive into chosen buffers; those that are not used are given back."""
    try:
        done = transfer(source, Message(selection.vector(), flags), is_sent=False)
    except (Errno, MemoryError):
        selection.give_back(request, 0)
        raise
    if done == 0:
        selection.give_back(request, 0)
    else:
        selection.use(request, done)
    return done


def _receive_more(request: Request, source: Socket, flags: int, known: int, first: Selection) -> int:
    """Receive as much as is `known` to be there after what the first ones hold, which the completion still names. 0 if
    another was faster, or there are no more buffers.
    """
    named = request.end.flags & ~layout.CQE_SOCK_NONEMPTY
    try:
        further = select_bundle(request, known, expands=True)
        first.is_last = further.is_last
        return _receive_into(request, source, flags, further)
    except (Errno, MemoryError):
        return 0
    finally:
        request.end.flags = named


def receive_messages(request: Request, source: Socket, flags: int) -> int:
    """RECVMSG as multishot: each message gets a buffer, which begins with its description (struct
    io_uring_recvmsg_out), its sender and its ancillary messages.
    """
    header = header_of(request)
    for _ in range(_MOST_ROUNDS):
        chosen = select(request, header.most)
        try:
            done, is_end = _receive_described(header, chosen, source, flags)
        except (Errno, MemoryError):
            put_back(request, chosen)
            raise
        use(request, chosen, done)
        is_known_to_be_empty = note_rest(request, source)
        if is_end or not _post(request, done):
            return done
        if is_known_to_be_empty:
            raise Errno(EAGAIN)  # it takes a buffer when more comes
        pace(_ROUND_COST)
    return GOES_ON


def _receive_described(header: KeptHeader, chosen: Chosen, source: Socket, flags: int) -> tuple[int, bool]:
    """One message; how much of the buffer it takes, and whether it was the end. Raises EFAULT (the buffer is too short,
    or not there), and what receiving raises.
    """
    name_room = header.fields.name_room
    control_room = header.fields.control_length
    start = DESCRIPTION_BYTES + name_room + control_room  # fits: `check_room`
    user.check(chosen.address, chosen.length)
    if chosen.length < start:
        raise Errno(EFAULT)
    room = min(chosen.length - start, MAX_RW_COUNT)  # fits: it is not longer
    place = UserAddr(chosen.address)
    message = Message(current().user_buffer(user.at(place, start), room), flags)
    message.wants_address = name_room != 0
    message.wants_control = control_room != 0
    message.result_flags = flags & MSG_CMSG_CLOEXEC
    # Before anything is received, which would be lost if there were no memory for it.
    control_start = start - control_room  # fits: it is a part of it
    control_place = user.at(place, control_start) if control_room != 0 else UserAddr(0)
    writer = ControlWriter(control_place, control_room, flags & MSG_CMSG_CLOEXEC != 0)
    done = transfer(source, message, is_sent=False)
    try:
        control = message.control
        if control is not None:
            writer.put(control)
            if writer.truncated:
                message.result_flags |= MSG_CTRUNC
    finally:
        release_files(message.control)
    storage: Array[u8, Literal[16]] = Array()
    fields = storage.span()
    fields.store_u32(0, len(message.address))
    fields.store_u32(4, writer.used())
    fields.store_u32(8, done)
    fields.store_u32(12, message.result_flags & layout.WORD)
    user.write_from(place, fields)
    shown = min(len(message.address), name_room)
    if shown > 0:
        user.write_bytes(user.at(place, DESCRIPTION_BYTES), message.address[:shown])
    return start + min(done, room), done == 0  # fits: within the buffer


# ---- Sending ---------------------------------------------------------------------------------------------------------


def send_selecting(request: Request, target: Socket, flags: int) -> int:
    """Send a provided buffer, or several as one, until there are none (a bundle)."""
    is_bundle = request.entry.priority & BUNDLE != 0
    waits_for_all = request.entry.modifiers & MSG_WAITALL != 0
    extra = request.more()
    for _ in range(_MOST_ROUNDS):
        kept = extra.selection
        if kept is None:
            kept = select_bundle(request, request.entry.length, expands=is_bundle)
        assert isinstance(kept, Selection)
        selection = kept
        wanted = 0
        try:
            vector = rest_of(selection.vector(), request.progress.moved)
            wanted = vector.remaining
            message = Message(vector, flags)
            message.address = extra.name
            done = transfer(target, message, is_sent=True)
        except (Errno, MemoryError):
            if request.progress.moved == 0:
                selection.give_back(request, 0)
            raise
        request.progress.moved += done
        if 0 < done < wanted and waits_for_all and waits_for_rest(target):
            extra.selection = selection  # they stay with the request while it waits
            name_buffer(request, selection.chosen[0])
            raise Errno(EAGAIN)
        extra.selection = None
        sent = request.progress.moved
        selection.use(request, sent)
        request.is_short = done < wanted and waits_for_all
        if not is_bundle or sent <= 0 or selection.is_last or request.is_short or not _post(request, sent):
            return sent
        request.progress.moved = 0
        request.entry.length = 0  # from the next buffers on, all of them
        pace(_ROUND_COST)
    return GOES_ON

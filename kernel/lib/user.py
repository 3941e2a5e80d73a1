"""User memory, and the buffers that file reads and writes move bytes through.

Nothing else in the kernel follows a user address. It is a type, `UserAddr`, which no number becomes by accident; a sum
with it is a number again, unless `at` or `within` computes it. An address outside the user half, or one that cannot
be read or written, raises EFAULT. A `Buffer` never raises: `put` and `take` move as much as they can, say how much that
was, and set `faulted` when memory stopped them; so a file operation can stop where it is and report what it has done.
The system call that created the buffer turns "nothing moved and faulted" into EFAULT.

Context: may sleep, because a user page may have to be read from a disk first, and because long copies have safe points.
"""

from typing import Final, Literal

from arch import USER_END, usercopy
from kernel.lang import E2BIG, EFAULT, ENAMETOOLONG, Array, Errno, Span, UserAddr, recursion, span_of, u8
from kernel.lib.pace import PACE_BYTES, pace_bytes

USER_LIMIT: Final = USER_END  # where user memory ends, as Linux has it
NO_BOUND: Final = (1 << 63) - 1
_PACED: Final = 512  # bytes: shorter copies are not worth counting


def check(address: int, length: int) -> None:
    """Raise EFAULT unless the range lies in the user half."""
    if address < 0 or length < 0 or address > USER_LIMIT or length > USER_LIMIT - address:
        raise Errno(EFAULT)


def at(address: UserAddr, offset: int) -> UserAddr:
    """The address `offset` bytes (at most 2**62, either way) from one that a program gave. Every sum of user addresses
    is computed here: raises EFAULT if the first is not one, and cannot overflow.
    """
    if address < 0 or address > USER_LIMIT:
        raise Errno(EFAULT)
    return UserAddr(address + offset)


def within(address: UserAddr, offset: int) -> UserAddr:
    """The address `offset` bytes into a range that `check` has found to lie in the user half."""
    return UserAddr(address + offset)


def read_into(destination: Span[u8], address: UserAddr) -> None:
    """Fill the span from user memory."""
    if usercopy.copy_in(destination, address) != 0:
        raise Errno(EFAULT)


def write_from(address: UserAddr, source: Span[u8]) -> None:
    """Copy the span to user memory."""
    if usercopy.copy_out(address, source) != 0:
        raise Errno(EFAULT)


def write_small(address: UserAddr, source: Span[u8]) -> None:
    """`write_from` of at most 512 bytes, which a system call without the kernel lock may do, too."""
    if usercopy.copy_out_small(address, source) != 0:
        raise Errno(EFAULT)


def read_small(destination: Span[u8], address: UserAddr) -> None:
    """`read_into` of at most 512 bytes, which a system call without the kernel lock may do, too."""
    if usercopy.copy_in_small(destination, address) != 0:
        raise Errno(EFAULT)


def read_struct(address: UserAddr, destination: Span[u8]) -> None:
    """Fill a struct (`bytes_of(s)`) from user memory."""
    read_into(destination, address)


def read_bytes(address: UserAddr, length: int) -> bytes:
    """`length` bytes; the caller has bounded `length`."""
    check(address, length)
    storage = bytearray(length)
    read_into(span_of(storage), address)
    return bytes(storage)


def require_zeros(address: UserAddr, start: int, end: int) -> None:
    """Raise E2BIG unless the bytes from `start` to `end` of what lies at `address` are 0: a structure may be longer
    than the kernel's, if the rest is zeros. The caller has bounded `end`.
    """
    for offset in range(start, end):
        if read_u8(at(address, offset)) != 0:
            raise Errno(E2BIG)


def write_bytes(address: UserAddr, data: bytes) -> None:
    write_from(address, span_of(data))


def clear(address: UserAddr, length: int) -> None:
    """Fill user memory with zeros."""
    check(address, length)
    done = 0
    while done < length:
        part = min(length - done, PACE_BYTES)
        if usercopy.clear(address + done, part) != 0:
            raise Errno(EFAULT)
        done += part
        pace_bytes(part)


def read_string(address: UserAddr, limit: int) -> bytes:
    """The string at `address` without its NUL. `limit` counts the NUL: ENAMETOOLONG if there is none among that many
    bytes.
    """
    short: Array[u8, Literal[128]] = Array()  # most strings fit
    size = min(len(short), limit)
    span = short.span()[0:size]
    length = usercopy.copy_string(span, address)
    if length == size and size < limit:
        storage = bytearray(limit)
        size = limit
        span = span_of(storage)
        length = usercopy.copy_string(span, address)
    if length < 0:
        raise Errno(EFAULT)
    if length >= size:
        raise Errno(ENAMETOOLONG)
    return span[0:length].to_bytes()


def read_string_start(address: UserAddr, limit: int) -> bytes:
    """At most the first `limit` bytes of the string at `address`, for names that are cut off."""
    found = bytearray()
    while len(found) < limit:
        check(address, 1)
        byte = read_u8(address)
        if byte == 0:
            break
        found.append(byte)
        address = at(address, 1)
    return bytes(found)


def read_u8(address: UserAddr) -> int:
    value = usercopy.get_u8(address)
    if value < 0:
        raise Errno(EFAULT)
    return value


def read_u32(address: UserAddr) -> int:
    value = usercopy.get_u32(address)
    if value < 0:
        raise Errno(EFAULT)
    return value


def read_i32(address: UserAddr) -> int:
    value = read_u32(address)
    return value - (1 << 32) if value >= 1 << 31 else value


def read_u16(address: UserAddr) -> int:
    storage: Array[u8, Literal[2]] = Array()
    read_into(storage.span(), address)
    return storage[0] | storage[1] << 8


def read_i64(address: UserAddr) -> int:
    value = usercopy.get_i64(address)
    if value is None:
        raise Errno(EFAULT)
    return value


def read_u64(address: UserAddr) -> int:
    """A 64-bit value, as the signed number with the same bits: sizes above 2**63 come out negative."""
    return read_i64(address)


def write_u8(address: UserAddr, value: int) -> None:
    if usercopy.put_u8(address, value & 0xFF) != 0:
        raise Errno(EFAULT)


def write_u16(address: UserAddr, value: int) -> None:
    if usercopy.put_u16(address, value & 0xFFFF) != 0:
        raise Errno(EFAULT)


def write_u32(address: UserAddr, value: int) -> None:
    if usercopy.put_u32(address, value & 0xFFFFFFFF) != 0:
        raise Errno(EFAULT)


def write_i32(address: UserAddr, value: int) -> None:
    write_u32(address, value)


def write_i64(address: UserAddr, value: int) -> None:
    if usercopy.put_i64(address, value) != 0:
        raise Errno(EFAULT)


def write_u64(address: UserAddr, value: int) -> None:
    write_i64(address, value)


def compare_and_swap_u32(address: UserAddr, old: int, new: int) -> int:
    """Store `new` if the word holds `old`; returns what it held."""
    found = usercopy.compare_and_swap_u32(address, old, new)
    if found < 0:
        raise Errno(EFAULT)
    return found


class Buffer:
    """Bytes on their way between a file and a reader or writer."""

    def __init__(self, remaining: int) -> None:
        self.remaining: int = remaining
        self.faulted: bool = False
        self.bound: int = NO_BOUND  # where a file must end if this is appended (kernel/fs/append_bound.py)

    def put(self, source: Span[u8]) -> int:
        """Give bytes to the reader; returns how many fitted."""
        return 0

    def take(self, destination: Span[u8]) -> int:
        """Get bytes from the writer; returns how many there were."""
        return 0

    def alignment(self) -> int:
        """All addresses and lengths of the range or ranges, or-ed: their common alignment (O_DIRECT)."""
        return self.remaining

    def user_piece(self) -> tuple[int, int]:
        """Where the next bytes lie in the running program's memory: address and length of one range. The length is 0 if
        they lie elsewhere, or if there are none.
        """
        return 0, 0

    def skip(self, count: int) -> None:
        """Skip the next `count` bytes, which something else moves and which lie in the present range."""

    def put_bytes(self, source: bytes) -> int:
        return self.put(span_of(source))

    def put_zeros(self, count: int) -> int:
        """Give `count` zero bytes to the reader."""
        done = 0
        while done < count:
            part = self.put(span_of(_ZEROS)[0 : min(count - done, len(_ZEROS))])
            if part == 0:
                break
            done += part
        return done

    def take_bytes(self, limit: int) -> bytes:
        """Up to `limit` bytes from the writer."""
        storage = bytearray(min(limit, self.remaining))
        count = self.take(span_of(storage))
        return bytes(storage[:count])


_ZEROS: Final[bytes] = bytes(4096)


class UserBuffer(Buffer):
    """One range of user memory."""

    def __init__(self, address: UserAddr, length: int) -> None:
        self.remaining: int = length
        self.faulted: bool = False
        self.bound: int = NO_BOUND
        self.address: UserAddr = address

    def put(self, source: Span[u8]) -> int:
        length = min(len(source), self.remaining)
        if length == 0:
            return 0
        if length >= _PACED:
            if length > PACE_BYTES:
                return self._put_pieces(source[0:length])
            pace_bytes(length)
        left = usercopy.copy_out(self.address, source[0:length])
        return self._advance(length, left)

    @recursion(1)  # no piece is longer than PACE_BYTES
    def _put_pieces(self, source: Span[u8]) -> int:
        done = 0
        while done < len(source) and not self.faulted:
            done += self.put(source[done : min(len(source), done + PACE_BYTES)])
        return done

    def take(self, destination: Span[u8]) -> int:
        length = min(len(destination), self.remaining)
        if length == 0:
            return 0
        if length >= _PACED:
            if length > PACE_BYTES:
                return self._take_pieces(destination[0:length])
            pace_bytes(length)
        left = usercopy.copy_in(destination[0:length], self.address)
        return self._advance(length, left)

    @recursion(1)  # no piece is longer than PACE_BYTES
    def _take_pieces(self, destination: Span[u8]) -> int:
        done = 0
        while done < len(destination) and not self.faulted:
            done += self.take(destination[done : min(len(destination), done + PACE_BYTES)])
        return done

    def alignment(self) -> int:
        return self.address | self.remaining

    def user_piece(self) -> tuple[int, int]:
        return self.address, self.remaining

    def skip(self, count: int) -> None:
        self._advance(count, 0)

    def put_zeros(self, count: int) -> int:
        done = 0
        while done < count and self.remaining > 0 and not self.faulted:
            length = min(count - done, self.remaining, PACE_BYTES)
            if length >= _PACED:
                pace_bytes(length)
            left = usercopy.clear(self.address, length)
            done += self._advance(length, left)
        return done

    def _advance(self, length: int, left: int) -> int:
        done = length - left
        self.address = UserAddr(self.address + done)
        self.remaining -= done
        if left != 0:
            self.faulted = True
        return done


class UserVector(Buffer):
    """Several ranges of user memory, one after the other (struct iovec)."""

    def __init__(self, addresses: list[UserAddr], lengths: list[int]) -> None:
        total = 0
        for length in lengths:
            total += length
        self.remaining: int = total
        self.faulted: bool = False
        self.bound: int = NO_BOUND
        self._addresses: list[UserAddr] = addresses
        self._lengths: list[int] = lengths
        self._index: int = 0
        self._offset: int = 0

    def rewind(self) -> None:
        """Start over: nothing was moved."""
        total = 0
        for length in self._lengths:
            total += length
        self.remaining = total
        self.faulted = False
        self._index = 0
        self._offset = 0

    def put(self, source: Span[u8]) -> int:
        done = 0
        while done < len(source) and self.remaining > 0 and not self.faulted:
            part = min(self._part(len(source) - done), PACE_BYTES)
            left = 0
            if part > 0:
                if part >= _PACED:
                    pace_bytes(part)
                left = usercopy.copy_out(self._addresses[self._index] + self._offset, source[done : done + part])
            done += self._advance(part, left)
        return done

    def take(self, destination: Span[u8]) -> int:
        done = 0
        while done < len(destination) and self.remaining > 0 and not self.faulted:
            part = min(self._part(len(destination) - done), PACE_BYTES)
            left = 0
            if part > 0:
                if part >= _PACED:
                    pace_bytes(part)
                left = usercopy.copy_in(destination[done : done + part], self._addresses[self._index] + self._offset)
            done += self._advance(part, left)
        return done

    def alignment(self) -> int:
        bits = 0
        for i in range(len(self._addresses)):
            bits |= self._addresses[i] | self._lengths[i]
        return bits

    def user_piece(self) -> tuple[int, int]:
        if self.remaining == 0:
            return 0, 0
        while self._part(1) == 0:
            self._advance(0, 0)
        return self._addresses[self._index] + self._offset, self._part(self.remaining)

    def skip(self, count: int) -> None:
        self._advance(count, 0)

    def _part(self, wanted: int) -> int:
        """How many bytes the present range can give, at most `wanted`; 0 for an empty range."""
        return min(wanted, self._lengths[self._index] - self._offset)

    def _advance(self, part: int, left: int) -> int:
        done = part - left
        self._offset += done
        self.remaining -= done
        if left != 0:
            self.faulted = True
        elif self._offset == self._lengths[self._index]:
            self._index += 1
            self._offset = 0
        return done


class KernelBuffer(Buffer):
    """The same over kernel memory: a bytearray that is filled (`put`) or emptied (`take`) from its start."""

    def __init__(self, storage: bytearray) -> None:
        self.remaining: int = len(storage)
        self.faulted: bool = False
        self.bound: int = NO_BOUND
        self.storage: bytearray = storage
        self.position: int = 0

    def put(self, source: Span[u8]) -> int:
        length = min(len(source), self.remaining)
        start = self.position
        span_of(self.storage)[start : start + length].copy_from(source[0:length])
        return self._advance(length)

    def take(self, destination: Span[u8]) -> int:
        length = min(len(destination), self.remaining)
        start = self.position
        destination[0:length].copy_from(span_of(self.storage)[start : start + length])
        return self._advance(length)

    def _advance(self, length: int) -> int:
        self.position += length
        self.remaining -= length
        return length

    def rewind(self, length: int) -> None:
        """Make the first `length` bytes available again, to be taken after they were put."""
        self.position = 0
        self.remaining = length

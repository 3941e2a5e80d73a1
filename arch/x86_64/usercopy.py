"""Reading and writing a program's memory: the declarations of user_copy.S. kernel.lib.user is the typed face for
everybody else.

User addresses are plain ints from registers, and may be anything: the routines refuse what is outside of the user
half, and survive what is not mapped. Any call may sleep, because a page may have to be read first; on return it is
done or has failed.

Safety: the kernel's side of a copy is an address with a length, which the caller takes from a Span. The user's side
needs no check: the assembly does it.
"""

from kernel.lang import extern


@extern("user_copy_in")
def user_copy_in(dst: int, src: int, size_bytes: int) -> int:
    """User memory to kernel memory; the number of bytes at the end that could NOT be read."""
    return size_bytes


@extern("user_copy_out")
def user_copy_out(dst: int, src: int, size_bytes: int) -> int:
    """Kernel memory to user memory; the number of bytes at the end that could NOT be written."""
    return size_bytes


@extern("user_copy_string")
def user_copy_string(dst: int, src: int, size_bytes: int) -> int:
    """Reads a C string: its length without the NUL; `size_bytes` when no NUL was among that many bytes; -1 after a
    fault.
    """
    return -1


@extern("user_clear")
def user_clear(address: int, size_bytes: int) -> int:
    """Zeroes user memory; the number of bytes NOT zeroed."""
    return size_bytes


@extern("user_get_u8")
def user_get_u8(address: int) -> int:
    """The value, or -1 after a fault."""
    return -1


@extern("user_get_u32")
def user_get_u32(address: int) -> int:
    """The value (0 … 2**32 - 1), or -1 after a fault. One access: a futex word is read whole."""
    return -1


@extern("user_put_u8")
def user_put_u8(address: int, value: int) -> int:
    """Stores the low 8 bits. 0, or -1 after a fault."""
    return -1


@extern("user_put_u32")
def user_put_u32(address: int, value: int) -> int:
    """Stores the low 32 bits. 0, or -1 after a fault."""
    return -1


@extern("user_put_i64")
def user_put_i64(address: int, value: int) -> int:
    """0, or -1 after a fault."""
    return -1


@extern("user_cas_u32")
def user_cas_u32(address: int, old: int, new: int) -> int:
    """Atomically stores `new` where `old` was. The value found (equal to `old` if it was stored), or -1 after a
    fault.
    """
    return -1

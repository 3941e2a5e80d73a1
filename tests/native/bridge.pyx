# cython: language_level=3
"""Calls of compiled code, and its memory, as numbers: what numbers mean is proxies.py's matter."""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from cpython.buffer cimport PyBuffer_FillInfo

cdef extern from "machine.h":
    int native_load(const char *path, uint64_t table, uint64_t frames, uint64_t start, size_t heap_size,
                    int64_t (*python)(int64_t, int64_t, int64_t *, int64_t *) noexcept) nogil
    int native_call(uint64_t function, int64_t *arguments, int64_t *results)
    uint64_t native_allocate(uint64_t allocate, uint64_t descriptor, size_t size)
    void native_hold(uint64_t object)
    void native_release(uint64_t object, uint64_t at_zero)
    const char *native_message(int64_t *length)
    uint64_t native_trap_address()

DEF MOST = 64

cdef object on_upcall = None
cdef uint64_t allocate_code = 0
cdef uint64_t at_zero_code = 0


cdef int64_t python(int64_t handle, int64_t method, int64_t *arguments, int64_t *results) noexcept:
    """A method that Python overrides: its error word. Words in and out lie in the caller's frame."""
    return on_upcall(handle, method, <uint64_t>arguments, <uint64_t>results)


def load(bytes path, uint64_t table, uint64_t frames, uint64_t start, size_t heap_size, uint64_t allocate,
         uint64_t at_zero, upcall):
    """Map the image; see machine.h. `upcall(handle, method, in, out)` answers calls of Python."""
    global on_upcall, allocate_code, at_zero_code
    on_upcall, allocate_code, at_zero_code = upcall, allocate, at_zero
    if native_load(path, table, frames, start, heap_size, python) != 0:
        raise OSError("the compiled modules cannot be mapped")


def call(uint64_t function, list arguments, int count):
    """Call glue: the trap's number (0: none), and as many words of results."""
    cdef int64_t words[MOST]
    cdef int64_t results[MOST]
    cdef int number, trap
    if len(arguments) > MOST or count > MOST:
        raise ValueError("too many words")
    for number in range(len(arguments)):
        words[number] = <int64_t>arguments[number]
    trap = native_call(function, words, results)
    return trap, [results[number] for number in range(count)] if trap == 0 else []


def message():
    """What the last panic or assert said; None if nothing."""
    cdef int64_t length = 0
    cdef const char *text = native_message(&length)
    return None if text == NULL else text[:length]


def trap_address():
    return native_trap_address()


def allocate(uint64_t descriptor, size_t size):
    """A zeroed object."""
    cdef uint64_t address = native_allocate(allocate_code, descriptor, size)
    if address == 0:
        raise MemoryError("the compiled modules' heap is full")
    return address


def hold(uint64_t address):
    native_hold(address)


def release(uint64_t address):
    native_release(address, at_zero_code)


def read(uint64_t address, size_t size):
    """Bytes of memory."""
    return (<const char *>address)[:size]


def write(uint64_t address, bytes data):
    memcpy(<void *>address, <const char *>data, len(data))


def peek(uint64_t address, int bits, bint signed):
    """A number in memory."""
    if bits == 64:
        return (<int64_t *>address)[0] if signed else (<uint64_t *>address)[0]
    if bits == 32:
        return (<int32_t *>address)[0] if signed else (<uint32_t *>address)[0]
    if bits == 16:
        return (<int16_t *>address)[0] if signed else (<uint16_t *>address)[0]
    return (<int8_t *>address)[0] if signed else (<uint8_t *>address)[0]


def poke(uint64_t address, int bits, value):
    """Store a number's low bits."""
    cdef uint64_t word = value & 0xFFFFFFFFFFFFFFFF
    memcpy(<void *>address, &word, bits // 8)


cdef class Memory:
    """A range of memory as a buffer; it keeps alive what it lies in."""

    cdef uint64_t address
    cdef Py_ssize_t size
    cdef object owner

    def __init__(self, uint64_t address, Py_ssize_t size, owner):
        self.address, self.size, self.owner = address, size, owner

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, <void *>self.address, self.size, 0, flags)


def address_of(view):
    """Where the bytes of a memoryview of a Memory lie."""
    cdef const uint8_t[::1] data = view
    return <uint64_t>&data[0] if len(data) > 0 else 0

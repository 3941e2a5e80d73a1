"""Spin locks: short sections that several processors enter one after the other.

Each lock has a class of its own, which declares its rank:

    @ranked(20)
    @final
    class QueueLock(SpinLock):
        ...

`with queue.lock:` takes it and releases it, whatever ends the block. There is no other way to take it, so the
compiler knows where it is held: there is no sleep inside, no allocation, no user memory, and nothing that the kernel
lock guards; locks inside have higher ranks (docs/language/locks.md). So the holder never waits for a waiter of the
lock, and a lock is never taken twice.

Interrupts are off in the kernel, so no interrupt handler can take the lock while it is held on the same processor.
"""

from kernel.lang.fields import install
from kernel.lang.ints import u32
from kernel.lang.structs import struct
from kernel.lang.unsafe import address_of, atomic_swap_u32, compiler_barrier, load_u32, pause, store_u32

install()  # the lock's word is in place under CPython too, though this module is a part of the prelude


@struct
class LockWord:
    """Not 0: held."""

    held: u32


class SpinLock:
    """Base of all classes of spin locks, each of which is `@ranked`."""

    word: LockWord

    def __enter__(self) -> None:
        # Safety: the word is this object's own, and aligned; nothing else reads or writes it.
        word = address_of(self.word)
        while atomic_swap_u32(word, 1) != 0:
            while load_u32(word) != 0:
                pause()

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        # Safety: as above. The processor keeps the order of stores, and the barrier that of the compiler.
        compiler_barrier()
        store_u32(address_of(self.word), 0)

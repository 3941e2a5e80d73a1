"""Random bytes for a program (getrandom(2), random(4)).

Context: sleeps; because of the safe points, a read of gigabytes, which takes seconds, holds up nobody else.
"""

from typing import Final

from kernel.lang import span_of
from kernel.lib import random
from kernel.lib.pace import is_interrupted, pace
from kernel.lib.user import Buffer

_CHUNK: Final = 4096
_COST_SHIFT: Final = 5  # instructions for a byte of ChaCha20, as a power of two


def put_random(buffer: Buffer) -> int:
    """Fill the buffer; returns how many bytes there are. As on Linux, a signal ends it after a page."""
    done = 0
    chunk = bytearray(min(_CHUNK, buffer.remaining))
    while buffer.remaining > 0 and not buffer.faulted:
        count = min(len(chunk), buffer.remaining)
        random.fill(span_of(chunk)[0:count])
        pace(count << _COST_SHIFT)
        done += buffer.put(span_of(chunk)[0:count])
        if is_interrupted():
            break
    return done

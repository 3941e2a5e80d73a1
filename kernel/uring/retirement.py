"""Retiring registered files and buffers: see resources.py.

Context: may sleep, as closing a file does.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import noraise
from kernel.lib.pace import pace
from kernel.uring.request import Request
from kernel.uring.resources import Generation
from kernel.uring.ring import Ring

_COST: Final = 300  # instructions, for `pace`


def use_resource(request: Request) -> None:
    """A request begins to use a registered file or buffer. Raises MemoryError."""
    extra = request.more()
    if extra.generation is None:
        present = request.ring.registered.generations.present
        present.users += 1
        extra.generation = present


@noraise
def stop_using(ring: Ring, generation: Generation) -> None:
    """A request that used one has ended."""
    generation.users -= 1
    past = ring.registered.generations.past
    while True:
        first = past.first()
        if first is None:
            ring.registered.generations.ended.wake_all()
            return
        if first.users != 0:
            return
        past.unlink(first)
        ring.registered.generations.past_count -= 1
        file = first.file
        first.file = None
        _end(ring, first.tag, file)


def begin_withdrawal(ring: Ring) -> bool:
    """Whether requests use registered files or buffers, or some are retired that requests used: `generations.ended` is
    woken when that is over. Raises MemoryError, and nothing has changed.
    """
    return _begin_generation(ring) is not None


def has_past_users(ring: Ring) -> bool:
    """Whether it is not over. A call, because it is asked anew after a sleep."""
    return not ring.registered.generations.past.is_empty()


def retire_file(ring: Ring, slot: int) -> None:
    """Empty a slot that is not empty. Raises MemoryError, and nothing has changed."""
    files = ring.registered.files
    file = files.slots[slot]
    tag = files.tag_of(slot)
    past = _begin_generation(ring)
    files.tags.pop(slot, 0)
    files.empty(slot)
    _retire(ring, past, tag, file)


def replace_file(ring: Ring, slot: int, file: File) -> None:
    """Put a file, which the caller has acquired, into a slot, whatever is there. Raises MemoryError, and nothing has
    changed.
    """
    files = ring.registered.files
    old = files.slots[slot]
    if old is None:
        files.put(slot, file, 0)
        return
    tag = files.tag_of(slot)
    past = _begin_generation(ring)
    files.tags.pop(slot, 0)
    files.put(slot, file, 0)
    _retire(ring, past, tag, old)


def retire_buffer(ring: Ring, slot: int) -> None:
    """Empty a slot that is not empty. Raises MemoryError, and nothing has changed."""
    buffers = ring.registered.buffers
    tag = buffers.tag_of(slot)
    past = _begin_generation(ring)
    buffers.tags.pop(slot, 0)
    buffers.slots[slot] = None
    _retire(ring, past, tag, None)


def _begin_generation(ring: Ring) -> Generation | None:
    """Begin one if requests may use what is to be retired; the one that ends. Raises MemoryError."""
    generations = ring.registered.generations
    present = generations.present
    if present.users == 0 and generations.past.is_empty():
        return None
    generations.present = Generation()
    generations.past.link_last(present)
    generations.past_count += 1
    return present


@noraise
def _retire(ring: Ring, past: Generation | None, tag: int, file: File | None) -> None:
    if past is None:
        _end(ring, tag, file)
    else:
        past.tag = tag
        past.file = file


@noraise
def _end(ring: Ring, tag: int, file: File | None) -> None:
    """Nothing uses it any more."""
    if tag != 0:
        ring.post(tag, 0, 0)
        while ring.end_counted():
            pace(_COST)
    if file is not None:
        file.release()

"""Run a piece of work in a child process, which returns its memory to the system when it ends.

The front end and lowering keep more than a gigabyte of small objects. CPython does not return all of that to the
system, and LLVM's workers need the room.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class ChildEnded(Exception):
    """The child process was killed from outside, for example for lack of memory."""


def apart(work: Callable[[], T]) -> T:
    """What `work` returns, or raise what it raises; either must be something that pickle supports. Raises ChildEnded
    and KeyboardInterrupt. There must be no other threads.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work_and_exit(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        data = answers.read()
    _, ended = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(ended)
    if status == 130:
        raise KeyboardInterrupt
    if status != 0:
        raise ChildEnded(f"signal {-status}" if status < 0 else f"status {status}")
    result: T
    error: Exception | None
    result, error = pickle.loads(data)
    if error is not None:
        raise error
    return result


def _work_and_exit(work: Callable[[], T], writer: int) -> None:
    status = 1
    try:
        try:
            data = pickle.dumps((work(), None), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            error.add_note(traceback.format_exc())  # pickle drops the traceback
            data = pickle.dumps((None, error), pickle.HIGHEST_PROTOCOL)
        with os.fdopen(writer, "wb") as answers:
            answers.write(data)
        status = 0
    except KeyboardInterrupt:
        status = 130
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

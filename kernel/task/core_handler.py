"""A program that the kernel itself starts, to read a core file from its standard input (core(5), "Piping core dumps
to a program").

It has no environment, and standard input is its only descriptor. It dumps no core itself: its RLIMIT_CORE of 1 marks
it. The rest is in helper.py.

Context: sleeps.
"""

from typing import Final

from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.task.fork import task_limit
from kernel.task.helper import HelperStart, start_process
from kernel.task.limits import RLIMIT_CORE, initial_limits

RECURSION_MARK: Final = 1  # RLIMIT_CORE of a helper


def start_helper(words: list[bytes], standard_input: File) -> None:
    """Run a program that reads from a file, whose reference passes to this function in any case. Raises what execve(2)
    raises, EAGAIN, MemoryError.
    """
    files: FileTable | None = None
    try:
        start = HelperStart(words, [])
        limits = initial_limits(task_limit() // 2)
        limits.set(RLIMIT_CORE, RECURSION_MARK, RECURSION_MARK)
        files = FileTable()
    finally:
        if files is None:
            standard_input.release()
    files.install(standard_input, cloexec=False)  # releases it, if there is no room
    start_process(start, files, limits)

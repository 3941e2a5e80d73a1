"""Compiles a program once and runs it with each of several inputs: `python -m tests.language.in_turn FILE PROFILE
INPUT…`. Prints a JSON array of [status, standard output, standard error], one for each input.

To start the compiler anew for each run takes longer than the run, most of all on an emulated processor.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback

from compiler import driver, lines, tracebacks  # noqa: F401  # the latter two, so that children need not import them


def run(program: driver.HostProgram, file: str, given: str) -> tuple[int, str, str]:
    """One run, in a child process that has these streams."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        streams = (source, output, errors)
        source.write(given.encode())
        source.seek(0)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for number, stream in enumerate(streams):
                    os.dup2(stream.fileno(), number)
                status = driver.execute(program, file, [])
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        errors.seek(0)
        return status, output.read().decode(), errors.read().decode()


def main(file: str, profile: str, *inputs: str) -> None:
    program = driver.compile_host(file, profile, driver.Timings())
    print(json.dumps([run(program, file, given) for given in inputs]))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The command line: `python -m compiler build`, `check`, `run`, `report`.

Every error is one message on standard error. Exit statuses: 0; 1 for errors in the sources or of the program; 2 for
a wrong command line; 70 for a trap of a program that `run` ran. `KRAIT_COMPILER_DEBUG=1` shows the compiler's own
tracebacks.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from compiler import driver
from compiler.backend import PROFILES, BackendError
from compiler.link import LinkError
from compiler.tree import Loc


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m compiler", description="Compile Kernel Python to native code.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="compile and link the kernel", description="Compile and link the kernel.")
    build.add_argument("--profile", choices=sorted(PROFILES), default="release",
                       help="dev compiles faster, release runs faster (default: release)")  # fmt: skip
    build.add_argument("-o", dest="output", type=Path, default=driver.BuildOptions.output, metavar="FILE",
                       help="the image (default: build/krait.elf)")  # fmt: skip
    build.add_argument("--entry", default="kernel.start.main", metavar="MODULE",
                       help="the module whose exported functions are entered (default: kernel.start.main)")  # fmt: skip
    build.add_argument("--with", dest="more", type=Path, action="append", default=[], metavar="FILE",
                       help="compile this module into the kernel too (repeatable)")  # fmt: skip
    build.add_argument("--keep-ir", action="store_true", help="write LLVM IR to ir/ beside the image")
    build.add_argument("--timings", action="store_true", help="print what each phase took")
    build.add_argument("--progress", action="store_true", help="say how far it is")
    build.add_argument("--workers", type=int, default=0, metavar="N", help="LLVM processes (default: one a processor)")
    build.add_argument("--force", action="store_true", help="build even if nothing changed")

    check = commands.add_parser("check", help="print the errors in source files",
                                description="Check Kernel Python files and print their errors.")  # fmt: skip
    check.add_argument("files", nargs="+", metavar="FILE")
    check.add_argument("--alone", action="store_true", help="in this process, whatever a resident one knows")

    run = commands.add_parser("run", help="compile a stand-alone file and run its main()",
                              description="Compile a stand-alone Kernel Python file and run its main().")  # fmt: skip
    run.add_argument("file", metavar="FILE")
    run.add_argument("--profile", choices=sorted(PROFILES), default="release", help="default: release")
    run.add_argument("--keep-ir", action="store_true", help="keep the LLVM IR, and say where")
    run.add_argument("--timings", action="store_true", help="print what each phase took")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS", help="the program's arguments")

    report = commands.add_parser("report", help="say what each system call may do",
                                 description="Say what each system call and interrupt of the kernel may do: its worst "
                                 "stack, errors, locks, allocations, and whether it sleeps.")  # fmt: skip
    report.add_argument("names", nargs="*", metavar="NAME",
                        help="system calls to describe in full (default: a line for each)")  # fmt: skip
    report.add_argument("--json", action="store_true", help="for other programs")
    report.add_argument("--locks", action="store_true",
                        help="what each lock guards, and which system calls need it; with names, why")  # fmt: skip
    report.add_argument("--unsafe", action="store_true", help="the modules that may touch raw memory, and their share")
    return top


def run_options(arguments: list[str]) -> list[str]:
    """Options of `run` may follow FILE as well; ARGS begin at the first other word, or after `--`."""
    if not arguments or arguments[0] != "run":
        return arguments
    flags, valued = {"--keep-ir", "--timings", "-h", "--help"}, {"--profile"}
    front, rest = ["run"], arguments[1:]
    file: str | None = None
    while rest:
        word = rest[0]
        if word in flags or (word.split("=")[0] in valued and "=" in word):
            front.append(rest.pop(0))
        elif word in valued:
            front += rest[:2]
            rest = rest[2:]
        elif file is None and not word.startswith("-"):
            file = rest.pop(0)
        else:
            break
    if rest and rest[0] == "--":
        rest = rest[1:]
    if file is None:
        return front + rest
    return [*front, file, *rest]


def run_command(options: argparse.Namespace) -> int:
    timings = driver.Timings()
    match options.command:
        case "build":
            wanted = driver.BuildOptions(options.profile, options.output.resolve(), options.entry, options.keep_ir,
                                         options.workers, options.force, options.progress,
                                         tuple(options.more))  # fmt: skip
            said = driver.build_kernel(wanted, timings)
            if said:
                print(said)
            if options.timings:
                timings.show(sys.stdout)
        case "check":
            gc.disable()  # it is over in seconds, and little of what it makes becomes garbage before
            driver.check(options.files, with_resident=not options.alone)
        case "run":
            program = driver.compile_host(options.file, options.profile, timings, options.keep_ir)
            if options.timings:
                timings.show(sys.stderr)
            return driver.execute(program, options.file, options.arguments)
        case "report":
            if options.unsafe:
                from compiler import unsafe_share

                print(unsafe_share.as_json() if options.json else unsafe_share.as_text())
            else:
                from compiler import questions

                ask = questions.report_locks if options.locks else questions.report_kernel
                print(ask(options.names, options.json))
    return 0


def report_internal(error: BaseException) -> None:
    """Report an unexpected exception: a fault of the compiler."""
    from compiler.diagnostics import internal_error, render

    if os.environ.get("KRAIT_COMPILER_DEBUG") == "1":
        traceback.print_exception(error)
    print(render(internal_error(error, Loc("", 0))), file=sys.stderr)
    print("  KRAIT_COMPILER_DEBUG=1 shows where", file=sys.stderr)


def main(arguments: list[str]) -> int:
    options = parser().parse_args(run_options(arguments))
    sys.setrecursionlimit(20_000)
    try:
        return run_command(options)
    except driver.UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except driver.Refused as refused:
        from compiler.diagnostics import render_all

        if os.environ.get("KRAIT_COMPILER_DEBUG") == "1":
            traceback.print_exception(refused)
        sys.stderr.write(render_all(refused.diagnostics, refused.sources, colour=sys.stderr.isatty()))
    except LinkError as error:
        print(f"error KP998: {error}", file=sys.stderr)
    except BackendError as error:
        print(f"error KP999: internal compiler error: LLVM refuses the code of {error.package}:\n{error.message}",
              file=sys.stderr)  # fmt: skip
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return driver.STATUS_ERRORS
    except Exception as error:
        report_internal(error)
    return driver.STATUS_ERRORS


def leave(status: int) -> NoReturn:
    """End at once: to take a program's trees apart first takes a tenth of what it takes to compile a small one."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, AttributeError):  # one is full, broken, or was closed from the beginning
        sys.exit(status)  # Python says what is to be said
    os._exit(status)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))

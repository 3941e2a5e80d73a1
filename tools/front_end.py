"""The command `./krait`: what its commands are called, and which module has them.

Starting is part of what every command takes, so a command's module is imported when it is called, and only its own
options are made.
"""

from __future__ import annotations

import argparse
import os
import sys

from tools.arguments import Parser
from tools.errors import CANNOT_RUN, FULL, KraitError
from tools.version import VERSION

TYPE_CHECKING = False  # typing takes a while to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.machine_commands import Commands

EXAMPLES = {
    "krait": (
        "krait run                                  a shell (Ctrl-A X leaves)",
        "krait run busybox uname -a                 a program of an image",
        "krait run ./hello.py                       a Python script of this machine",
        "krait run -d --name web ./image.tar        a machine in the background",
        "krait exec -it web sh                      one more program in it",
        "krait new mine                             a project of one's own",
    ),
    "krait run": (
        "krait run busybox uname -a", "echo data | krait run ./hello.py", "krait run debian:13 bash",
        "krait run -v .:/src -w /src python3 test.py", "krait run -d --name web -p 8080:80 ./image.tar",
        "krait run --command 'dmesg | tail'",
    ),
    "krait trace": ("krait trace --calls openat,read busybox cat /etc/passwd", "krait trace -o calls ./program"),
    "krait profile": ("krait profile -o sort.svg --command 'seq 20000 | sort -n | tail -1'",),
    "krait new": ("krait new mine && cd mine && krait test", "krait new --kind call ancestors"),
    "krait test": ("krait test", "krait test tests/unit/tty -k backspace"),
    "krait image": ("krait image -o disk.img", "krait image root.tar -o disk.img --size 2G"),
    "krait python": ("krait python", "krait python --append quiet -c 'print(init.getpid())'"),
    "krait debug": ("krait debug -- -ex 'break kernel.fs.open.open_file' -ex continue",),
    "krait exec": ("krait exec web ps", "krait exec -it web sh"),
    "krait cp": ("krait cp web:/etc/passwd .", "krait cp data.txt web:/tmp"),
}


def _build(commands: Commands) -> None:
    from tools.build_commands import add_build

    add_build(commands)


def _run(commands: Commands) -> None:
    from tools.run_command import add_run

    add_run(commands)


def _machines(commands: Commands) -> None:
    from tools.machine_commands import add_commands

    add_commands(commands)


def _kept_images(commands: Commands) -> None:
    from tools.image_commands import add_commands

    add_commands(commands)


def _python(commands: Commands) -> None:
    from pathlib import Path

    from tools.arguments import memory_size

    command = commands.add_parser(
        "python", help="boot under CPython, and be process 1 at a Python prompt",
        description="Boot the kernel's Python in this interpreter, on a simulated machine, and give a prompt in its "
        "first process: system calls are methods, and pdb steps through the kernel. docs/prompt.md has a tour.",
    )
    command.set_defaults(action=_prompt)
    command.add_argument("-c", "--command", metavar="CODE", help="run this instead of asking")
    command.add_argument("--memory", metavar="SIZE", type=memory_size, default="32M", help="of the machine (32M)")
    command.add_argument("--append", metavar="'PARAMETERS'", default="", help="kernel parameters")
    command.add_argument("file", metavar="FILE", type=Path, nargs="?", help="run this script instead of asking")
    command.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="sys.argv[1:] of the script")


def _prompt(options: argparse.Namespace) -> int:
    from tools.simulated.prompt import start  # imports the whole kernel

    return start(options)


def _debug(commands: Commands) -> None:
    from tools.debug_command import add_debug

    add_debug(commands)


def _images(commands: Commands) -> None:
    from tools.build_commands import add_images

    add_images(commands)


def _checks(commands: Commands) -> None:
    from tools.build_commands import add_checks

    add_checks(commands)


def _help(commands: Commands) -> None:
    from tools.completion import SHELLS, completion
    from tools.doctor import main as examine_machine
    from tools.help_pages import man_page

    command = commands.add_parser("doctor", help="say what this machine lacks for Krait")
    command.set_defaults(action=lambda options: examine_machine(as_json=options.json))  # ./krait does it by itself
    command.add_argument("--json", action="store_true", help="print it as JSON")
    command = commands.add_parser("completion", help="print a shell's completion of this command")
    command.set_defaults(action=lambda options: _show(completion(command_parser(), options.shell)))
    command.add_argument("shell", choices=SHELLS)
    command = commands.add_parser("man", help="print the manual page, for man -l -")
    command.set_defaults(action=lambda options: _show(man_page(command_parser())))


def _show(text: str) -> int:
    print(text, end="")
    return 0


# In the order of the help: the commands that each function adds.
COMMANDS: tuple[tuple[str, Callable[[Commands], None]], ...] = (
    ("build", _build),
    ("run trace profile", _run),
    ("ps exec cp logs stop kill inspect rm", _machines),
    ("images rmi", _kept_images),
    ("python", _python),
    ("debug", _debug),
    ("image iso flash", _images),
    ("new test lint self-build self-test docs", _checks),
    ("doctor completion man", _help),
)


def command_parser(only: str = "") -> Parser:
    """What the command line may be. `only`: a command that is all it may be; one that there is not, or "": any."""
    parser = Parser(prog="krait", description="Build, run and test Krait.")
    parser.add_argument("--version", action="version", version=f"krait {VERSION}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser, prog="krait",  # else it is worked out
    )  # fmt: skip
    chosen = [add for names, add in COMMANDS if only in names.split()]
    for add in chosen or [add for _, add in COMMANDS]:
        add(commands)
    for each in (parser, *commands.choices.values()):
        each.examples = EXAMPLES.get(each.prog, ())
    return parser


def main() -> int:
    # It let us find our own modules. Children start in the checkout; mypy judges modules on PYTHONPATH differently.
    os.environ.pop("PYTHONPATH", None)
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    options = command_parser(first).parse_args()
    if getattr(options, "hush", False):
        from compiler.progress import be_quiet

        be_quiet()
    if getattr(options, "gdb", None) and options.gdb[0] == "--":
        options.gdb = options.gdb[1:]
    return int(options.action(options))


def open_standard_streams() -> None:
    """Of those that our caller closed, /dev/null takes the places: else a file of ours would come there, and be one."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            mode = "r" if descriptor == 0 else "w"
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))  # the lowest that is free


def start() -> int:
    """The command; what went wrong is one line."""
    open_standard_streams()
    try:
        os.getcwd()
    except OSError as error:
        print(f"krait: the directory that it is called in: {(error.strerror or '').lower()}", file=sys.stderr)
        return CANNOT_RUN
    try:
        return main()
    except KraitError as error:
        print(error, file=sys.stderr)
        return error.status
    except SystemExit as error:
        if not isinstance(error.code, str):
            raise
        print(error.code, file=sys.stderr)  # of a part of ours that is a program of its own, too
        return CANNOT_RUN
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough, as in `./krait run … | head`
        import signal

        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        print(f"krait: {where}{(error.strerror or '').lower()}", file=sys.stderr)
        return CANNOT_RUN


if __name__ == "__main__":
    sys.exit(start())

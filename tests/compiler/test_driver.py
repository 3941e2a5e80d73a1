"""The command line: running programs, tracebacks, exit statuses, and messages for what goes wrong."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from compiler import backend
from compiler.backend import PASSED_ENDING
from tests.harness.guest import PATIENCE

ROOT = Path(__file__).resolve().parents[2]

HELLO = '''"""A program."""


def main() -> int:
    print("hello")
    return 3


if __name__ == "__main__":
    raise SystemExit(main())
'''


Done = subprocess.CompletedProcess[str]


def compiler(*arguments: str | Path, cwd: Path = ROOT, **variables: str) -> Done:
    """Run the compiler as a user does."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), **variables)
    environment.pop("KRAIT_COMPILER_DEBUG", None)
    command = [sys.executable, "-m", "compiler", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def write(folder: Path, text: str, name: str = "program.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def run(folder: Path, text: str, profile: str = "dev", **variables: str) -> Done:
    return compiler("run", write(folder, text), "--profile", profile, **variables)


def test_output_and_exit_status(tmp_path: Path) -> None:
    done = run(tmp_path, HELLO)
    assert (done.stdout, done.stderr, done.returncode) == ("hello\n", "", 3)


def test_nothing_is_done_when_nothing_changed(tmp_path: Path) -> None:
    path = write(tmp_path, HELLO)
    assert compiler("run", path, "--timings").returncode == 3
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    again = compiler("run", path, "--timings")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert again.stdout == "hello\n" and "front end" not in again.stderr
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 2  # whatever else the host does
    path.write_text(HELLO.replace("hello", "changed"))
    assert compiler("run", path).stdout == "changed\n"


def test_what_is_kept_of_pythons_library_changes_no_code(tmp_path: Path) -> None:
    """An object's name says which IR it was made from."""
    path, cache = write(tmp_path, HELLO), tmp_path / "cache"
    names: list[set[str]] = []
    for _ in range(2):
        assert compiler("run", path, KRAIT_CACHE=str(cache)).stdout == "hello\n"
        files = [file for file in cache.iterdir() if file.is_file()]
        names.append({file.name for file in files if file.suffix == ".o"})
        for file in files:
            file.unlink()
        assert list((cache / "library").rglob("builtins.*")), "nothing was kept"
    assert names[0] and names[0] == names[1]


def test_nothing_is_checked_again_when_nothing_changed() -> None:
    """Files are counted that are parsed: none, until any source of the kernel differs."""
    script = """
import ast
from pathlib import Path
from compiler import driver

parsed = []
real, real_hashes = ast.parse, driver.hashes_of
ast.parse = lambda *arguments, **others: (parsed.append(1), real(*arguments, **others))[1]
name = "kernel/lib/ids.py"
driver.check([name])
parsed.clear()
driver.check([name])
print(len(parsed))
changed = Path("kernel/lib/namespace.py").resolve()
driver.hashes_of = lambda paths: {**real_hashes(paths), changed: "another"}
driver.check([name])
print(len(parsed) > 0)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "0\nTrue\n"


@pytest.mark.parametrize("ending", [".manifest.json", PASSED_ENDING])
def test_the_cache_forgets_the_oldest_of_what_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(backend, "MOST_SMALL_FILES", 2)
    for age in range(4):
        path = tmp_path / f"{age}{ending}"
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    backend.trim(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"0{ending}", f"1{ending}"]


def test_a_file_that_is_changed_while_it_is_compiled(tmp_path: Path) -> None:
    """In a process of its own: the compiler freezes modules as they are, and other tests change them."""
    path = write(tmp_path, HELLO, "changed_meanwhile.py")
    script = f"""
from pathlib import Path
from compiler import driver

real = driver.compile_modules

def change_and_compile(*arguments):
    path = Path({str(path)!r})
    path.write_text(path.read_text().replace("hello", "changed"))
    return real(*arguments)

driver.compile_modules = change_and_compile
driver.compile_host({str(path)!r}, "dev", driver.Timings())
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    assert "changed" in path.read_text()
    assert compiler("run", path, "--profile", "dev").stdout == "changed\n"


def test_files_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "def twice(x: int) -> int:\n    return x + x\n", "numbers_beside.py")
    done = run(tmp_path, "from numbers_beside import twice\n\n\ndef main() -> None:\n    print(twice(4))\n")
    assert (done.stdout, done.stderr) == ("8\n", "")


@pytest.mark.parametrize("profile", ["dev", "release"])
def test_traceback_of_a_trap(tmp_path: Path, profile: str) -> None:
    text = """
from kernel.lang import inline, noinline


@inline
def check(values: list[int], index: int) -> int:
    return values[index]


@noinline
def middle(index: int) -> int:
    return check([1, 2], index)


def main() -> None:
    print("before")
    print(middle(2))
"""
    done = run(tmp_path, text, profile)
    assert done.stdout == "before\n"
    assert done.returncode == 70
    file = tmp_path / "program.py"
    assert done.stderr == f"""Traceback (most recent call last):
  File "{file}", line 17, in main
    print(middle(2))
  File "{file}", line 12, in middle
    return check([1, 2], index)
  File "{file}", line 7, in check
    return values[index]
IndexError: index out of range
"""


@pytest.mark.parametrize("profile", ["dev", "release"])
def test_traceback_of_functions_that_call_none(tmp_path: Path, profile: str) -> None:
    text = """
from kernel.lang import noinline


@noinline
def mix(a: int, b: int, c: int, d: int, values: list[int]) -> int:
    total = 0
    for at in range(a):
        total = total * b % 1000 + (c ^ at) * (d & at) + values[at] * (total % b)
    return total


@noinline
def middle(a: int) -> int:
    return mix(a, 7, 11, 13, [3, 1, 2]) + 1


def main() -> None:
    print(middle(3))
    try:
        middle(4)
    finally:
        print("cleaned up")
"""
    done = run(tmp_path, text, profile)
    assert done.stdout == "77\ncleaned up\n"
    assert done.returncode == 70
    file = tmp_path / "program.py"
    assert done.stderr == f"""Traceback (most recent call last):
  File "{file}", line 21, in main
    middle(4)
  File "{file}", line 15, in middle
    return mix(a, 7, 11, 13, [3, 1, 2]) + 1
  File "{file}", line 9, in mix
    total = total * b % 1000 + (c ^ at) * (d & at) + values[at] * (total % b)
IndexError: index out of range
"""


@pytest.mark.parametrize("profile", ["dev", "release"])
def test_a_span_of_too_many_bytes(tmp_path: Path, profile: str) -> None:
    """Sums of lengths are not checked for overflow, so no length is beyond what all of them believe."""
    text = """
from kernel.lang import noinline
from kernel.lang.unsafe import span_at


@noinline
def show(length: int) -> None:
    print(len(span_at(4096, length)))


def main() -> None:
    show((1 << 62) - 1)
    show(1 << 62)
"""
    path = write(tmp_path, text)
    script = f"""
from compiler import driver
from compiler.front import program

allowed = program.unsafe_allowed
program.unsafe_allowed = lambda root: allowed(root) | {{{path.stem!r}}}
compiled = driver.compile_host({str(path)!r}, {profile!r}, driver.Timings())
raise SystemExit(driver.execute(compiled, {str(path)!r}, []))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == f"{(1 << 62) - 1}\n", done.stderr
    assert done.returncode == 70
    assert "line 8, in show" in done.stderr


@pytest.mark.parametrize("profile", ["dev", "release"])
def test_uncaught_exception(tmp_path: Path, profile: str) -> None:
    text = """
from kernel.lang import Errno


def main() -> None:
    raise Errno(2)
"""
    done = run(tmp_path, text, profile)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        f'  File "{tmp_path / "program.py"}", line 6, in main', "    raise Errno(2)", "kernel.lang.errors.Errno: 2",
    ]  # fmt: skip


def test_messages_of_panic_and_assert(tmp_path: Path) -> None:
    text = "from kernel.lang import panic\n\n\ndef main() -> None:\n    panic(f'bad {40 + 2}')\n"
    done = run(tmp_path, text)
    assert done.returncode == 70 and done.stderr.endswith("Panic: bad 42\n")
    text = "def main() -> None:\n    x = 5\n    assert x < 5, 'too large'\n"
    assert run(tmp_path, text).stderr.endswith("AssertionError: too large\n")


def test_endless_recursion(tmp_path: Path) -> None:
    text = """
from kernel.lang import noinline


@noinline
def down(n: int) -> int:
    return down(n + 1) + n


def main() -> None:
    print(down(0))
"""
    done = run(tmp_path, text, "release")
    assert done.returncode == 70
    assert done.stderr.endswith("RecursionError: stack overflow\n")
    assert "more times]" in done.stderr and len(done.stderr) < 3000


def test_memory_that_runs_out(tmp_path: Path) -> None:
    text = """
def main() -> None:
    kept: list[bytearray] = []
    try:
        while True:
            kept.append(bytearray(100_000))
    except MemoryError:
        count = len(kept)
        kept.clear()
        print(f"enough {count > 10}")
"""
    done = run(tmp_path, text, KRAIT_HOST_MEMORY="8000000")
    assert (done.stdout, done.stderr, done.returncode) == ("enough True\n", "", 0)


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    path = write(tmp_path, "def main() -> None:\n    for i in range(1_000_000):\n        print(i)\n")
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-m", "compiler", "run", str(path), "--profile", "dev"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe) as program:
        assert program.stdout is not None and program.stderr is not None
        assert program.stdout.readline() == b"0\n"
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait() == 128 + 13


def test_module_level_runs_at_build_time(tmp_path: Path) -> None:
    text = 'print("building")\nTABLE = [i * i for i in range(5)]\n\n\ndef main() -> None:\n    print(sum(TABLE))\n'
    done = run(tmp_path, text)
    assert (done.stdout, done.stderr) == ("30\n", "building\n")
    assert run(tmp_path, text).stderr == ""


# What goes wrong: one message, never a traceback of the compiler ------------------------------------------------------


def test_no_such_file() -> None:
    done = compiler("run", "/nowhere/at/all.py")
    assert (done.stderr, done.returncode) == ("error: /nowhere/at/all.py: no such file\n", 1)


def test_no_main(tmp_path: Path) -> None:
    done = run(tmp_path, "X = 1\n")
    assert done.returncode == 1 and "KP191" in done.stderr and "Traceback" not in done.stderr


def test_main_with_parameters(tmp_path: Path) -> None:
    done = run(tmp_path, "def main(x: int) -> None:\n    pass\n")
    assert done.returncode == 1 and "main() takes no parameters" in done.stderr


def test_main_that_returns_a_text(tmp_path: Path) -> None:
    done = run(tmp_path, 'def main() -> str:\n    return "text"\n')
    assert done.returncode == 1 and "program.py:1:1: error KP191: main() returns None, or an int" in done.stderr


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"def main() -> None:\n\tif True:\n        print(1)\n",
         "program.py:3:1: error KP100: inconsistent use of tabs and spaces"),
        (b"def main() -> None:\n    print('\xff')\n", "program.py:1:1: error KP100: Cannot decode file"),
        (b"def main() -> None:\n    print(1\0)\n", "program.py:2:1: error KP100: this is no text"),
        (b"def main() -> None:\n    print(" + b"(" * 10_000 + b"1" + b")" * 10_000 + b")\n",
         "program.py:2:210: error KP100: too many nested parentheses"),
        (b"import sys\n\n\ndef main() -> None:\n    print(len(sys.argv))\n",
         "program.py:5:15: error KP197: sys.argv belongs to the Python that compiles"),
        (b"import os\n\n\ndef main() -> None:\n    print(os.getpid())\n",
         "program.py:5:11: error KP910: os.getpid is not a function that can be compiled"),
    ],
    ids=["tabs", "encoding", "zero", "brackets", "argv", "foreign"],
)  # fmt: skip
def test_sources_that_are_unusual_and_wrong(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "program.py"
    path.write_bytes(data)
    done = compiler("run", path, cwd=tmp_path)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "internal" not in done.stderr


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfdef main() -> None:\n    print('\xc3\xa4')\n",
        b"# -*- coding: latin-1 -*-\ndef main() -> None:\n    print('\xe4')\n",
        b"def main() -> None:\r\n    print('\xc3\xa4')\r\n",
    ],
    ids=["byte_order_mark", "latin_1", "crlf"],
)
def test_sources_that_are_unusual(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a strange näme.py"
    path.write_bytes(data)
    done = compiler("run", path)
    assert (done.stdout, done.stderr) == ("ä\n", "")


def test_sources_that_end_the_process(tmp_path: Path) -> None:
    done = run(tmp_path, "import os\n\nos._exit(0)\n\n\ndef main() -> None:\n    print(1)\n")
    assert done.returncode == 1
    assert "program.py:3:1: error KP190: importing this raises SystemExit: 0" in done.stderr


@pytest.mark.timeout(int(60 * PATIENCE))
def test_long_literals_take_bounded_time(tmp_path: Path) -> None:
    """LLVM's time grew with the square of the items: more than 100 s for 2,000 of them."""
    items = ", ".join(str(number % 1000) for number in range(5000))
    done = run(tmp_path, f"def main() -> None:\n    items = [{items}]\n    print(len(items), items[4999])\n")
    assert (done.stdout, done.stderr) == ("5000 999\n", "")


@pytest.mark.timeout(int(60 * PATIENCE))
def test_long_dict_literals_take_bounded_time(tmp_path: Path) -> None:
    """Each item had its own way out for want of memory, which made LLVM's time grow faster than their number."""
    items = ", ".join(f"{number}: one" for number in range(3000))
    made = f"    one = len('1')\n    items = {{{items}, 5: 2}}\n"
    text = f"def main() -> None:\n{made}    print(len(items), items[2999], items[5])\n"
    done = run(tmp_path, text, "release")
    assert (done.stdout, done.stderr) == ("3000 1 2\n", "")
    main = ir_of(tmp_path)
    assert main.count("set_reserved") > 3000 and main.count("\n") < 5 * 3001


@pytest.mark.timeout(int(60 * PATIENCE))
def test_constants_of_literals_are_no_instructions(tmp_path: Path) -> None:
    pairs = ", ".join(f"{number}: {number * 7 % 1000}" for number in range(3000))
    items = ", ".join(str(number * 3 % 1000) for number in range(3000))
    made = f"    pairs = {{{pairs}, 5: 1}}\n    items = [{items}]\n"
    text = f"def main() -> None:\n{made}    print(len(pairs), pairs[2999], pairs[5], len(items), items[2999])\n"
    done = run(tmp_path, text, "release")
    assert (done.stdout, done.stderr) == ("3000 993 1 3000 997\n", "")
    assert ir_of(tmp_path).count("\n  ") < 1000


def ir_of(folder: Path) -> str:
    """The IR of the program in a folder."""
    made = compiler("run", folder / "program.py", "--profile", "dev", "--keep-ir")
    return (ROOT / made.stderr.removeprefix("IR is in ").strip() / "program.ll").read_text()


def test_files_that_import_each_other(tmp_path: Path) -> None:
    write(tmp_path, "import program\n\nNUMBER = 3\n", "beside.py")
    done = run(tmp_path, "import beside\n\n\ndef main() -> None:\n    print(beside.NUMBER)\n")
    assert done.returncode == 1
    assert "beside.py:1:1: error KP190" in done.stderr and done.stderr.endswith("1 error\n")


def test_syntax_of_a_later_python(tmp_path: Path) -> None:
    done = run(tmp_path, "type Number = int\n\n\ndef main() -> None:\n    print(1)\n")
    assert done.returncode == 1
    assert "program.py:1:6: error KP100: invalid syntax" in done.stderr and "KP999" not in done.stderr


def test_a_global_without_a_value(tmp_path: Path) -> None:
    text = "NAMES: list[int]\n\n\ndef fill() -> None:\n    global NAMES\n    NAMES = [1]\n\n\n"
    done = run(tmp_path, text + "def main() -> None:\n    fill()\n    print(NAMES[0])\n")
    assert done.returncode == 1
    assert "program.py:1:1: error KP915" in done.stderr


def test_a_built_in_that_the_import_changes(tmp_path: Path) -> None:
    text = "import builtins\n\nsetattr(builtins, \"abs\", len)\n\n\ndef main() -> None:\n    print(abs(-3))\n"
    done = run(tmp_path, text)
    assert done.returncode == 1
    assert "program.py:1:1: error KP198" in done.stderr and "built-in abs" in done.stderr


def test_import_that_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "LIMIT = 10\nREST = LIMIT // (LIMIT - 10)\n\n\ndef main() -> None:\n    print(REST)\n")
    assert done.returncode == 1
    assert "program.py:2:1: error KP190: importing this raises ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ITEMS: list[int] = [1, 2, 1 << 70]\n\n\ndef main() -> None:\n    print(len(ITEMS))\n",
         "program.ITEMS.items[2]: 1180591620717411303424 does not fit int"),
        ("from typing import Any\n\nWRONG: Any = 1.5\nITEMS: list[int] = [1, WRONG]\n\n\n"
         "def main() -> None:\n    print(len(ITEMS))\n",
         "program.ITEMS.items[1]: float 1.5 cannot be frozen as int"),
    ],
    ids=["too_large", "float"],
)  # fmt: skip
def test_objects_that_cannot_be_frozen(tmp_path: Path, text: str, message: str) -> None:
    done = run(tmp_path, text)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert "ITEMS: list[int] = " in done.stderr, "the definition of the global is shown"


def test_check(tmp_path: Path) -> None:
    good = write(tmp_path, HELLO, "good.py")
    done = compiler("check", good)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    bad = write(tmp_path, "def half(x: int) -> int:\n    return x / 2\n", "bad.py")
    done = compiler("check", good, bad, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("bad.py:2:") and done.stderr.rstrip().endswith("1 error")


def test_check_finds_broken_promises(tmp_path: Path) -> None:
    text = """
from kernel.lang import noalloc


@noalloc
def act() -> int:
    values = [1, 2, 3]
    values.append(4)
    return len(values)
"""
    done = compiler("check", write(tmp_path, text))
    assert done.returncode == 1 and "noalloc" in done.stderr


def test_check_finds_what_may_panic(tmp_path: Path) -> None:
    text = """
from kernel.lang import nopanic, u8


@nopanic
def safe(value: u8, table: bytes) -> int:
    total = value * 3 + (value & 7)
    for index in range(len(table)):
        total ^= index
    return total


def pick(table: bytes, index: int) -> int:
    return table[index]


@nopanic
def unsafe(table: bytes) -> int:
    return pick(table, 7)
"""
    done = compiler("check", write(tmp_path, text), cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.endswith("1 error\n"), done.stderr
    assert "program.py:18:1: error KP700: program.unsafe is @nopanic but may panic" in done.stderr, done.stderr
    assert "may trap here" in done.stderr and "calls program.pick" in done.stderr


def test_check_of_a_part_of_the_kernel() -> None:
    done = compiler("check", *sorted((ROOT / "kernel" / "fs" / "disks").glob("*.py")))
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_file_alone_whose_types_lead_further() -> None:
    """It names classes with guarded fields for types only, so nobody has imported them."""
    done = compiler("check", ROOT / "kernel" / "task" / "async_io.py")
    assert (done.stderr, done.returncode) == ("", 0)


def test_an_entry_that_does_not_exist(tmp_path: Path) -> None:
    done = compiler("build", "--entry", "kernel.nothing", "-o", tmp_path / "x.elf")
    assert done.returncode == 1 and done.stderr.startswith("error: there is no module kernel.nothing")


def test_wrong_command_lines() -> None:
    assert compiler().returncode == 2
    assert compiler("run").returncode == 2
    assert compiler("run", "--profile", "fast", "x.py").returncode == 2
    done = compiler("--help")
    assert done.returncode == 0 and "build" in done.stdout

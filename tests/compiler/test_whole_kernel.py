"""What takes the whole kernel, lowered once for all of these tests: questions about its calls and locks
(`python -m compiler report`), numbers that programs can make overflow, and whether the same sources give the same code.

That code is compared with the build of the tests, under another hash seed: an object is known by all of its IR, so that
the cache has those of all packages. With KRAIT_SECOND_BUILD=1 a second build goes on to the image, from another number
of workers and in another place, and compiles an eighth of the packages once more.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compiler.backend import CACHE, KERNEL, object_name, with_target
from compiler.driver import PEAK_KIB, BuildOptions, Manifest, manifest_path
from compiler.lower.locks import lock_free_functions
from compiler.lower.own import own_store_functions
from tests.harness.guest import PATIENCE
from tools.kernel_build import built_kernel
from tools.paths import BUILD, ROOT

PEAK_LIMIT_KIB = 1_150_000  # of the largest process; there are small ones beside it
AGAIN = "01"  # what the names begin with of the objects that are compiled once more

# One process answers all: what programs can make overflow (tools/given), several reports, whose arguments are lists in
# JSON, and which objects the kernel is made of. To load the kernel takes half of the time, to lower it the rest.
QUESTIONS = """
import functools
import json
import sys

from compiler import driver, questions
from compiler.__main__ import main
from compiler.apart import apart
from compiler.backend import KERNEL, object_name, with_target
from compiler.front.program import forget_mypy
from compiler.lower import program as lowered
from tools.given.__main__ import examine, refused

program = driver.load([driver.BuildOptions.entry], [])
forget_mypy()
print(json.dumps(apart(lambda: [str(finding) for finding in refused(program, examine(program))])), end="\\0")
driver.load = lambda modules, files: program
used = []


class Kept(lowered.Lowering):
    def analyse(self, entry_points):
        used.append(self)
        return super().analyse(entry_points)


lowered.Lowering = Kept
questions.analyse_kernel = functools.cache(questions.analyse_kernel)
for arguments in sys.argv[1:]:
    if main(["report", *json.loads(arguments)]) != 0:
        sys.exit(1)
    print(end="\\0")
[lowering] = used
lowering.lowers_once = True
lowering.emit()
lowering.fail_on_errors()
texts = lowering.texts(driver.exported_functions(program))
names = {name: object_name(with_target(text, KERNEL), KERNEL, "release") for name, text in texts}
print(json.dumps(names), end="\\0")
"""


def other_seed() -> dict[str, str]:
    """An environment for another order of sets than that of the tests' build: its seed was random, or ours."""
    return dict(os.environ, PYTHONHASHSEED="2" if os.environ.get("PYTHONHASHSEED") == "1" else "1")


@pytest.fixture(scope="module")
def found() -> list[Any]:
    """What is known of given numbers, of all calls, of locks, and of the objects of each package."""
    built_kernel("release")
    wanted = ["--json"], ["--locks", "--json", "getpid", "getpgrp", "kernel.lib.random.fill"]
    command = [sys.executable, "-c", QUESTIONS, *map(json.dumps, wanted)]
    done = subprocess.run(command, cwd=ROOT, env=other_seed(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(text) for text in done.stdout.split("\0")[:-1]]


pytestmark = pytest.mark.timeout(int(300 * PATIENCE))


def test_no_given_number_can_overflow(found: list[Any]) -> None:
    assert found[0] == []


@pytest.fixture(scope="module")
def calls(found: list[Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in found[1]}


def test_every_call_is_there(calls: dict[str, dict[str, Any]]) -> None:
    assert sum(entry["kind"] == "system call" for entry in calls.values()) > 290
    assert calls["kernel.doors.dispatch.krait_syscall"]["kind"] == "entry"


def test_calls_that_do_nothing_that_could_fail(calls: dict[str, dict[str, Any]]) -> None:
    for name in ("getpid", "gettid", "getuid"):
        call = calls[name]
        assert not call["sleeps"] and not call["errors"] and not call["other_errors"], call
        assert not call["locks"] and not call["allocates"], call


def test_errors_are_those_of_the_manual_pages(calls: dict[str, dict[str, Any]]) -> None:
    assert {"EBADF", "EFAULT", "EINTR", "EISDIR", "EAGAIN"} <= set(calls["read"]["errors"])
    assert {"ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EMFILE", "ENOMEM"} <= set(calls["openat"]["errors"])
    assert set(calls["setpgid"]["errors"]) == {"EACCES", "EINVAL", "ENOMEM", "EPERM", "ESRCH"}
    assert "EBADF" not in calls["kill"]["errors"]


def test_what_is_caught_does_not_come_out(calls: dict[str, dict[str, Any]]) -> None:
    assert calls["kernel.doors.dispatch.krait_syscall"]["errors"] == []


def test_locks_and_allocations(calls: dict[str, dict[str, Any]]) -> None:
    assert calls["read"]["sleeps"] and any("pipe" in lock for lock in calls["read"]["locks"])
    assert "Pipe" in calls["pipe2"]["allocates"]


def test_a_name_that_is_not_there(found: list[Any]) -> None:
    """The answers are kept since they were found."""
    command = [sys.executable, "-m", "compiler", "report", "raed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: there is no system call or entry point raed\n"


# Locks ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locks(found: list[Any]) -> dict[str, Any]:
    about_locks: dict[str, Any] = found[2]
    return about_locks


def test_who_needs_the_kernel_lock(locks: dict[str, Any]) -> None:
    calls = {call["name"]: call for call in locks["calls"]}
    assert not calls["sched_get_priority_max"]["needs_kernel_lock"]
    assert calls["getpid"]["runs_unlocked"] and not calls["getpid"]["needs_kernel_lock"]
    assert calls["getpgrp"]["needs_kernel_lock"] and calls["getpgrp"]["why"][-1].endswith("reads Process.job")
    assert calls["openat"]["needs_kernel_lock"] and calls["openat"]["why"] == []  # nobody asked
    fill = calls["kernel.lib.random.fill"]
    assert not fill["needs_kernel_lock"] and fill["takes"] == ["kernel.lib.random.RandomLock"]
    assert not fill["runs_unlocked"]  # the door does not call it


def test_what_locks_guard(locks: dict[str, Any]) -> None:
    ranks = [lock["rank"] for lock in locks["locks"]]
    assert ranks == sorted(ranks) and ranks[0] > 0
    guarded = {lock["name"]: lock["guards"] for lock in locks["locks"]}
    assert guarded["kernel.lib.random.RandomLock"] == ["kernel.lib.random.Generator: all that changes"]
    assert locks["default_fields"] > 1000 and locks["published_fields"] > 100
    assert 0 < locks["atomic_fields"] < 100


def test_exempt_functions_have_a_reason_and_need_it(locks: dict[str, Any]) -> None:
    exempt = lock_free_functions()
    assert all(exempt.values())
    assert sorted(exempt) == locks["exempt"]


def test_listed_stores_have_a_reason_and_are_there(locks: dict[str, Any]) -> None:
    listed = own_store_functions()
    assert all(listed.values())
    assert sorted(listed) == locks["own_stores"]


# Twice ----------------------------------------------------------------------------------------------------------------


def test_another_seed_gives_the_same_code(found: list[Any]) -> None:
    assert found[3], "no package"
    unknown = [name for name, object in found[3].items() if not (CACHE / object).exists()]
    assert unknown == [], "packages with other IR than in the build of the tests, or whose objects its cache has lost"


@pytest.fixture
def cache() -> Iterator[Path]:
    """A cache with the objects that are known, but for an eighth: those are compiled once more. Which ones follows
    from the hash of their IR.
    """
    (BUILD / "tests").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cache-", dir=BUILD / "tests") as place:  # links stay in a file system
        for path in CACHE.glob("*.*"):
            if path.suffix in (".o", ".lines", ".frames", ".unwind") and path.name[0] not in AGAIN:
                with contextlib.suppress(FileNotFoundError):  # somebody trims the cache
                    os.link(path, Path(place) / path.name)
        yield Path(place)


@pytest.mark.skipif("KRAIT_SECOND_BUILD" not in os.environ, reason="KRAIT_SECOND_BUILD=1 builds the kernel again")
def test_another_seed_and_number_of_workers(tmp_path: Path, cache: Path) -> None:
    """The kernel of the tests was built with one worker a processor, and a random seed unless somebody chose one."""
    first = built_kernel("release")
    output = tmp_path / "other" / "krait.elf"
    environment = other_seed() | {"KRAIT_CACHE": str(cache)}
    options = ["--profile", "release", "--keep-ir", "--workers", "1", "-o", str(output)]
    command = [sys.executable, "-m", "compiler", "build", *options]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
        _, process.returncode, used = os.wait4(process.pid, 0)
    assert process.returncode == 0, (tmp_path / "said").read_text()
    assert used.ru_maxrss < PEAK_LIMIT_KIB, "the largest of the build's processes grew"
    texts = {path.stem: path.read_text() for path in sorted((output.parent / "ir").iterdir())}
    names = {name: object_name(with_target(text, KERNEL), KERNEL, "release") for name, text in texts.items()}
    compiled = [name for name in names.values() if name[0] in AGAIN]
    assert compiled, "no package was compiled once more"
    unknown = [name for name, object in names.items() if not (CACHE / object).exists()]
    assert output.read_bytes() == first.read_bytes(), f"the images differ; packages whose IR does: {unknown}"


def test_memory_of_the_release_profile() -> None:
    """A machine of 1.5 GiB can build the kernel (docs/self-hosting.md): that of the tests was measured when it was
    built. The process that translates it is the largest, and alone.
    """
    options = BuildOptions()
    manifest = Manifest.read(manifest_path("build", options.profile, str(options.output), options.entry))
    if manifest is None:
        pytest.skip("the kernel has not been built with the release profile")
    assert int(manifest.extra[PEAK_KIB]) < PEAK_LIMIT_KIB

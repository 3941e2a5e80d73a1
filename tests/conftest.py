"""What every test of whole images needs: the root image, the kernels, guests with a shell.

`--kernel linux` runs the tests of `tests/boot` on Debian's Linux: so a test is checked against the oracle.
"""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.harness import KRAIT, LINUX, Guest, GuestError, Kernel
from tests.harness.awaited import wait_for_the_build
from tests.harness.durations import lines_of, seconds_by_file
from tests.harness.repeats import budget_of, repeated_tests
from tools.machine import Machine
from tools.paths import BUILD

# Where Python shall leave no bytecode beside sources, that of what is collected lies where the front end's does: to
# compile it takes each process longer than all the rest of collecting.
LEAVES_BYTECODE = sys.dont_write_bytecode and sys.pycache_prefix is None
if LEAVES_BYTECODE:
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(BUILD / "bytecode")

# The same examples each time, however slow the host is. `--hypothesis-profile random` looks for others.
hypothesis.settings.register_profile("random", deadline=None)
hypothesis.settings.register_profile("fixed", deadline=None, derandomize=True)
hypothesis.settings.load_profile("fixed")

os.environ["KRAIT_RESIDENT"] = "0"  # a resident checker would outlive the tests; its own tests end theirs


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kernel", choices=("krait", "linux"), default="krait", help="the kernel that tests/boot boots")
    parser.addoption("--built", metavar="FILE", help="wait with all but unit tests for `krait test` to make this")
    parser.addini("repeat_budget", "how many tests may pass at a second attempt only", default="0")


UNIT = "unit"  # all unit tests, which share the kernel's modules

# They take minutes, or half of one with few tests: begun late, they would keep one processor busy long after the other
# has nothing left to do.
LONGEST_FIRST = (
    "tests/conformance/test_conformance.py", "tests/boot/test_self_build.py", UNIT, "tests/boot/test_firewall.py",
    "tests/stretches/test_stretches.py", "tests/language/test_fuzz.py", "tests/native/test_native.py",
    "tests/compiler/test_whole_kernel.py", "tests/boot/test_installed.py", "tests/test_other_pythons.py",
    "tests/boot/test_systemd.py", "tests/conformance/test_several_processors.py", "tests/boot/test_disk_twins.py",
    "tests/compiler/test_resident.py", "tests/boot/test_containers.py",
    "tests/boot/test_object_costs.py", "tests/boot/test_ext2.py", "tests/boot/test_perf.py",
    "tests/boot/test_sqlite.py", "tests/boot/test_memory_hogs.py", "tests/boot/test_edges.py",
    "tests/boot/test_udev.py", "tests/fuzz_calls/test_fuzz_calls.py",
    "tests/boot/test_directory_order.py", "tests/test_lint.py", "tests/boot/test_iptables.py",
    "tests/fuzz_network/test_fuzz_network.py", "tests/boot/test_network_namespaces.py", "tests/test_site.py",
    "tests/bench/scale/test_scale.py", "tests/boot/test_servers.py", "tests/boot/test_socket_fuzz.py",
    "tests/boot/test_tracers.py", "tests/boot/test_lost_threads.py", "tests/boot/test_ssh.py",
)  # fmt: skip


def processor_time() -> tuple[int, int]:
    """Of this machine's processors since it started, in ticks: all, and what nobody used (proc_stat(5))."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


PROCESSORS_BEFORE = processor_time()


class FilesApart(LoadScopeScheduling):
    """On several processors: what the tests of a file share, such as a guest, is made once; and the unit tests, which
    share the kernel's modules, run one after the other. The longest files come first, then those with most tests.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _file_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesApart:
    config.option.loadscopereorder = False  # the order of collection holds
    return FilesApart(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """`krait test` builds the kernel while unit tests run. The others wait for it, before their time is measured."""
    built = item.config.getoption("--built")
    if built is not None and _file_of(item.nodeid) != UNIT:
        wait_for_the_build(Path(built))
    return (yield)


def pytest_collection_finish() -> None:
    """What tests import, such as programs that they have just written, is compiled anew each time. And tests that
    collect garbage look at their own objects alone: to look at all that was collected takes more than a second.
    """
    gc.collect()
    gc.freeze()
    if LEAVES_BYTECODE:
        sys.dont_write_bytecode, sys.pycache_prefix = True, None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sizes = Counter(_file_of(item.nodeid) for item in items)

    def place(item: pytest.Item) -> tuple[int, int, str]:
        file = _file_of(item.nodeid)
        is_long = file in LONGEST_FIRST
        return LONGEST_FIRST.index(file) if is_long else len(LONGEST_FIRST), -sizes[file], file

    items.sort(key=place)


def _file_of(nodeid: str) -> str:
    """The file of a test; `UNIT` for a unit test."""
    return UNIT if nodeid.startswith("tests/unit/") else nodeid.partition("::")[0]


def _repeats(config: pytest.Config, *, host_was_late: bool = False) -> list[tuple[str, str]]:
    reporter = config.pluginmanager.getplugin("terminalreporter")
    reports = [report for report in reporter.stats.get("passed", []) if report.when == "call"]
    return repeated_tests(reports, host_was_late=host_was_late)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput") and session.exitstatus == pytest.ExitCode.OK:
        if len(_repeats(session.config)) > budget_of(session.config):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> Iterator[None]:
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "native" and report.when == "call":
                terminalreporter.line(str(value))  # which part of the unit tests compiled code has passed
    if config.getoption("numprocesses"):
        whole, unused = (now - before for now, before in zip(processor_time(), PROCESSORS_BEFORE, strict=True))
        terminalreporter.line(f"the processors had nothing to do for {unused / max(whole, 1):.0%} of the time")
        reports = [each for kind in terminalreporter.stats.values() for each in kind if hasattr(each, "duration")]
        terminalreporter.section("what took longest")
        for line in lines_of(seconds_by_file(reports)):
            terminalreporter.line(line)
    yield
    # After pytest's own lists: what makes a run fail in which every test has passed stands at its end.
    late = _repeats(config, host_was_late=True)
    _list(terminalreporter, f"{len(late)} passed at a further attempt: the host was late in the first", late)
    repeats = _repeats(config)
    _list(terminalreporter, f"{len(repeats)} passed at a second attempt only (budget {budget_of(config)})", repeats)


def _list(reporter: pytest.TerminalReporter, title: str, repeats: list[tuple[str, str]]) -> None:
    """A section of tests and what differed at their first attempts, if there are any."""
    if repeats:
        reporter.section(title)
        for name, why in repeats:
            reporter.line(f"{name}\n{why}")


@pytest.fixture(scope="session")
def root_image() -> Path:
    from userland.image import build_image

    return build_image()


@pytest.fixture(scope="session")
def kernel(request: pytest.FixtureRequest, root_image: Path) -> Kernel:
    if request.config.getoption("--kernel") == "linux":
        from tools.oracle import fetch_oracle

        fetch_oracle()
        return LINUX
    return KRAIT


Shells = Callable[..., Guest]


@pytest.fixture
def boot_shell(kernel: Kernel, root_image: Path) -> Iterator[Shells]:
    """Boot guests to the shell's prompt: `boot_shell(type="pc", memory="64M")`. They end with the test."""
    with ExitStack() as guests:

        def boot(**machine: object) -> Guest:
            guest = guests.enter_context(Guest(kernel.boot(root_image, "quiet"), Machine(**machine)))  # type: ignore[arg-type]
            guest.expect_prompt(30)
            return guest

        yield boot


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[list[Guest]]:
    guests: list[Guest] = []
    yield guests
    for guest in guests:
        guest.stop()


@pytest.fixture
def shell(kernel: Kernel, root_image: Path, shared_guests: list[Guest]) -> Iterator[Guest]:
    """A guest at its prompt, shared by the tests of a module. One that a failed test has left unusable is replaced."""
    if not shared_guests or shared_guests[-1].may_trap or not shared_guests[-1].is_at_prompt():
        for guest in shared_guests:
            guest.stop()
        shared_guests[:] = [Guest(kernel.boot(root_image, "quiet"))]
        shared_guests[-1].expect_prompt(30)
    guest = shared_guests[-1]
    yield guest
    try:
        guest.check_for_traps()
    except GuestError:
        guest.may_trap = True  # this test fails, and not the next one
        raise

"""What every test of whole images needs: the root image, the kernels, guests with a shell.

`--kernel linux` runs the tests of `tests/boot` on Debian's Linux: so a test is checked against the oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness import KRAIT, LINUX, Guest, Kernel
from tools.machine import Machine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kernel", choices=("krait", "linux"), default="krait", help="the kernel that tests/boot boots")


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
def shell(kernel: Kernel, root_image: Path) -> Iterator[Guest]:
    """One guest at its prompt, shared by the tests of a module. A test leaves the prompt as it found it."""
    with Guest(kernel.boot(root_image, "quiet")) as guest:
        guest.expect_prompt(30)
        yield guest

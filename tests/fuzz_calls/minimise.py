"""Shrink a program that finds something to the calls that it needs for it: delta debugging over a mask of its calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.fuzz_calls.session import EVERY_CALL, Finding, Session, session
from tests.harness import Kernel
from tests.harness.guest import GuestError

TIMES = 20  # how often a program is tried, because threads race


class _Bench:
    """Tries masks, each in the same guest while that lives and is unhurt."""

    def __init__(self, kernel: Kernel, root_image: Path, program: str, wanted: str | None) -> None:
        self._kernel = kernel
        self._root_image = root_image
        self.program = program
        self.wanted = wanted
        self._stack = ExitStack()
        self._session: Session | None = None

    def close(self) -> None:
        self._stack.close()
        self._session = None

    def try_mask(self, mask: int) -> Finding | None:
        if self._session is None:
            self._session = self._stack.enter_context(session(self._kernel, self._root_image))
        try:
            findings = self._session.replay(self.program, mask, TIMES)
        except GuestError as error:
            log = self._session.guest.log
            findings = [Finding("the guest does not answer", self.program, f"{str(error)[:200]}\n{log[-2000:]}")]
        if findings:
            self.close()  # a bug may have left something held
        for finding in findings:
            if self.wanted is None or finding.what == self.wanted:
                return finding
        return None


def minimise(
    kernel: Kernel, root_image: Path, program: str, tell: Callable[[str], None], wanted: str | None = None
) -> tuple[str, int, Finding | None]:
    """The program, the smallest mask that was found, and what it does; None if the whole program does nothing. One that
    others of its process came before is tried alone first; if it needs them, the mask is for the calls of each.
    """
    bench = _Bench(kernel, root_image, program, wanted)
    try:
        finding = None
        for name in (program.replace("+", "@"), program):
            bench.program = name
            finding = bench.try_mask(EVERY_CALL)
            if finding is not None:
                break
        if finding is None:
            return program, EVERY_CALL, None
        bench.wanted = finding.what
        mask = EVERY_CALL
        size = 32
        while size >= 1:
            for start in range(0, 64, size):
                smaller = mask & ~(((1 << size) - 1) << start)
                if smaller == mask:
                    continue
                again = bench.try_mask(smaller)
                if again is not None:
                    mask, finding = smaller, again
                    tell(f"mask {mask:016x}: {finding.what}")
            size //= 2
        return bench.program, mask, finding
    finally:
        bench.close()

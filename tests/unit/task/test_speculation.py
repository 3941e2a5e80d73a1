"""What a program may choose about speculation: nothing, as where Linux finds no switch."""

import pytest

from arch.x86_64.cpu import features
from kernel.lang import ENODEV, ENXIO, EPERM, ERANGE, Errno
from kernel.task.speculation import choose_speculation, speculation_lines, speculation_state

STORE_BYPASS, INDIRECT_BRANCH, L1D_FLUSH = range(3)
NOT_AFFECTED, ENABLE, DISABLE, FORCE_DISABLE, DISABLE_NOEXEC = 0, 2, 4, 8, 16


def error_of(kind: int, choice: int) -> int:
    with pytest.raises(Errno) as error:
        choose_speculation(kind, choice)
    return error.value.code


def test_what_holds() -> None:
    assert speculation_state(STORE_BYPASS) == ENABLE
    assert speculation_state(INDIRECT_BRANCH) == ENABLE
    assert speculation_state(L1D_FLUSH) == FORCE_DISABLE
    for kind in (-1, 3, 1 << 32):
        with pytest.raises(Errno) as error:
            speculation_state(kind)
        assert error.value.code == ENODEV


def test_a_processor_that_does_not_bypass_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Speculation_Store_Bypass:\tvulnerable\n" in speculation_lines()
    monkeypatch.setattr(features, "stores_in_order", True)
    assert speculation_state(STORE_BYPASS) == NOT_AFFECTED
    assert "Speculation_Store_Bypass:\tnot vulnerable\n" in speculation_lines()


def test_nothing_can_be_chosen() -> None:
    for choice in (0, ENABLE, DISABLE, FORCE_DISABLE, DISABLE_NOEXEC, -1):
        assert error_of(STORE_BYPASS, choice) == ENXIO
        assert error_of(L1D_FLUSH, choice) == EPERM
        assert error_of(3, choice) == ENODEV
    assert error_of(INDIRECT_BRANCH, DISABLE) == EPERM
    assert error_of(INDIRECT_BRANCH, FORCE_DISABLE) == EPERM
    for choice in (0, 1, 6, DISABLE_NOEXEC, -1, 1 << 32 | ENABLE):
        assert error_of(INDIRECT_BRANCH, choice) == ERANGE


def test_what_holds_anyway_may_be_asked_for() -> None:
    choose_speculation(INDIRECT_BRANCH, ENABLE)

"""A system call without side effects: what it returns, and when it refuses."""

import errno

import pytest

from tools.project_tests import Machine

MOST = 2**63 - 1


@pytest.mark.parametrize(("a", "b"), [(0, 0), (40, 2), (MOST, 0), (MOST - 1, 1), (2**32, 2**33)])
def test_sums(machine: Machine, a: int, b: int) -> None:
    assert machine.host.add(a, b) == a + b


@pytest.mark.parametrize(("a", "b", "error"), [
    (-1, 5, errno.EINVAL), (5, -1, errno.EINVAL), (MOST, 1, errno.ERANGE), (MOST, MOST, errno.ERANGE),
])  # fmt: skip
def test_no_sums(machine: Machine, a: int, b: int, error: int) -> None:
    with pytest.raises(OSError) as caught:
        machine.host.add(a, b)
    assert caught.value.errno == error

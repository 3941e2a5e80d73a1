"""The hooks of the first network, with a clock that the test moves."""

from collections.abc import Iterator

import pytest

from kernel.net.link.device import NetworkDevice
from tests.unit.net.conftest import Wire, loopback, wire
from tests.unit.net.filter.gate import Gate

__all__ = ["Wire", "loopback", "wire"]


@pytest.fixture
def gate(loopback: NetworkDevice) -> Iterator[Gate]:
    made = Gate()
    yield made
    made.clear()

"""Free ports, when nearly all are taken: the search lets others run."""

import pytest

from kernel.lang import EADDRINUSE, EINVAL, Errno
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.inet import Binding, PortTable
from tests.unit.meanwhile import meanwhile

FIRST = 40_000
COUNT = 10


def binding() -> Binding:
    made = Binding(FIRST_NETWORK)
    made.first_port = FIRST
    made.last_port = FIRST + COUNT - 1
    return made


def full_table() -> tuple[PortTable, list[Binding]]:
    table = PortTable(is_stream=False)
    taken = [binding() for _ in range(COUNT)]
    for each in taken:
        table.bind(each, 0)
    assert len({each.port for each in taken}) == COUNT
    return table, taken


def test_a_port_that_others_leave_while_one_is_looked_for() -> None:
    table, taken = full_table()
    late = binding()
    with meanwhile(lambda: table.remove(taken[3]), COUNT - 1):
        table.bind(late, 0)
    assert FIRST <= late.port < FIRST + COUNT
    with pytest.raises(Errno) as caught:
        table.bind(binding(), 0)
    assert caught.value.code == EADDRINUSE


def test_a_socket_that_another_thread_binds_while_it_looks_for_a_port() -> None:
    table, _ = full_table()
    late = binding()
    with pytest.raises(Errno) as caught, meanwhile(lambda: table.bind(late, 50_000), 3):
        table.bind(late, 0)
    assert caught.value.code == EINVAL and late.port == 50_000
    assert table.by_port[50_000] == [late]

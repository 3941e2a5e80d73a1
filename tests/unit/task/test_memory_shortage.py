"""Whose processes hold most."""

from kernel.task.memory_shortage import ANYBODY, Holders


def test_many_small_processes_of_one_user_hold_more_than_a_large_one_of_another() -> None:
    holders = Holders()
    holders.add(0, 220)
    for _ in range(60):
        holders.add(1000, 99)
    holders.add(0, 50)
    assert holders.greediest() == 1000


def test_nobody_holds_anything() -> None:
    holders = Holders()
    assert holders.greediest() == ANYBODY
    holders.add(1000, 10)
    holders.clear()
    assert holders.greediest() == ANYBODY


def test_more_users_than_there_is_room_for() -> None:
    holders = Holders()
    for uid in range(100):
        holders.add(uid, 1000 - uid)
    holders.add(99, 100_000)  # not counted: there was no room
    assert holders.greediest() == 0

"""What a system call that promises to run without the kernel lock must not do, and atomic fields do not allow."""

from kernel.lang import SpinLock, atomic, final, guarded_by, ranked, sleeps, struct, unlocked


@ranked(10)
@final
class MeterLock(SpinLock):
    pass


@final
@guarded_by("lock")
class Meter:
    def __init__(self) -> None:
        self.lock = MeterLock()
        self.level = 0


@atomic("blocked")
@struct
class Signals:
    blocked: int
    saved: int


@final
@atomic("number")
class Thread:
    signals: Signals

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.number = 0
        self.priority = 0
        self.parent: Thread | None = None
        self.names = [1]

    def change(self, parent: "Thread") -> None:
        self.parent = parent
        self.priority += 1
        self.number = parent.number
        self.meter = parent.meter


@unlocked
def own_number(current: Thread) -> int:
    return current.number  # may be read, and is


@unlocked
def of_another_thread(current: Thread) -> int:
    parent = current.parent
    return 0 if parent is None else parent.number


@unlocked
def changes_what_may_be_read(current: Thread) -> int:
    current.number = 1
    return 0


@unlocked
def adds_to_what_may_be_read(current: Thread) -> int:
    current.number += 1
    return 0


@unlocked
def stores_a_reference(current: Thread, other: Thread) -> int:
    current.parent = other
    return 0


@unlocked
def allocates(current: Thread) -> int:
    return len([current.number])


@unlocked
def reads_a_list(current: Thread) -> int:
    return current.names[0]


@unlocked
def reads_an_atomic_field_of_a_part(current: Thread) -> int:
    return current.signals.blocked


@unlocked
def reads_another_one(current: Thread) -> int:
    return current.signals.blocked + current.signals.saved


@unlocked
def stores_to_an_atomic_field_of_a_part(current: Thread) -> int:
    current.signals.blocked = 1
    return 0


@sleeps
def wait() -> None:
    pass


@unlocked
def needs_the_lock_under_a_finer_one(meter: Meter, thread: Thread) -> int:
    with meter.lock:
        meter.level += thread.priority
        return meter.level


@unlocked
def is_not_sure_of_the_lock(current: Thread) -> int:
    with current.meter.lock:
        return 0


def make() -> Thread:
    thread = Thread(Meter())
    thread.change(thread)
    wait()
    return thread

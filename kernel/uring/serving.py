"""The thread that takes the submissions of rings (IORING_SETUP_SQPOLL): its life.

It is a task of its maker's process that never enters user mode. So memory, files, limits and accounts are the
process's, and the thread ends with it; it is seen in /proc, stops with the others, and SIGKILL to it ends all of them.
It blocks all other signals. What it submits are its own requests, so everything else about requests is as for any task
(perform.py).

One round takes what each ring has. Then it looks by itself for as long as the most patient ring wants, in naps rather
than turns of a loop, so that it costs little and a single processor runs the program. Then it says in each ring that it
must be called (IORING_SQ_NEED_WAKEUP), and sleeps.

The program fills in a submission and then reads that flag; the thread sets the flag and then looks for submissions. So
that one of them sees what the other has stored, there is a nap in between: the kernel lock is given up and taken again,
by atomic operations, and no store is left behind on the way to memory.

No lack of memory ends the thread: it waits, and tries again.

Context: sleeps.
"""

from typing import Final

from kernel.lang import EAGAIN, Errno, final, noinline, noraise
from kernel.lib.pace import pace
from kernel.sched import current_thread
from kernel.sched.processor import this_processor
from kernel.sched.scheduler import charge_running
from kernel.task.acting import act_as, act_as_itself
from kernel.task.begin import attend, settle
from kernel.task.belongings import Belongings
from kernel.task.control_groups import place_processors
from kernel.task.exit import end_thread
from kernel.task.fork import create_worker
from kernel.task.task import Task, TaskStart
from kernel.time import monotonic_ns
from kernel.time.timers import FOREVER_NS
from kernel.uring.perform import TaskWork
from kernel.uring.submission import submit
from kernel.uring.taker import ServedRing, Taker

_FIRST_NAP_NS: Final = 20_000
_LONGEST_NAP_NS: Final = 1_000_000
_SHORTAGE_NS: Final = 10_000_000  # until memory is asked for again
_FAIR_SHARE: Final = 8  # submissions of one ring of several in a round
_COST: Final = 300  # instructions to look at one ring, for `pace`
_NAME_BYTES: Final = 15

# What a round comes to
_NOTHING: Final = 0
_PROGRESS: Final = 1
_SHORTAGE: Final = 2  # there was no memory for the next submission


@final
class Serving(TaskStart):
    """What the thread does, from its first step to its end. It may end wherever it attends to signals: so nothing is
    held there, not by a local variable either.
    """

    def begin(self, task: Task) -> None:
        settle(task)
        while _serve(task):
            attend(task)
        end_thread(task, 0)


def create_thread(maker: Task, taker: Taker, work: TaskWork, processors: int) -> Task:
    """A taker's thread, which may run on those processors (-1: all). It has not started. Raises EAGAIN, EINVAL,
    ERESTARTNOINTR, MemoryError.
    """
    belongings = Belongings()
    name = f"iou-sqp-{int(maker.tid)}".encode()
    thread = create_worker(maker, Serving())
    if thread.belongings is None:
        thread.belongings = belongings
    else:
        belongings = thread.belongings
    belongings.async_work = work
    thread.name = name[:_NAME_BYTES]
    thread.membership.chosen_processors = processors
    place_processors(thread)
    work.taker = taker
    work.is_at_work = True
    taker.thread = thread
    return thread


@noraise
@noinline  # `begin` never returns: nothing of this should lie on the stack meanwhile
def _serve(task: Task) -> bool:
    """One round, and a rest if there was nothing to do; False if there are no rings any more."""
    work = task.async_work
    assert isinstance(work, TaskWork)
    taker = work.taker
    if taker is None:
        return False
    if taker.count == 0:
        taker.thread = None  # at once: nobody attaches any more
        return False
    found = _round(task, taker, work)
    now_ns = monotonic_ns()
    if found != _NOTHING or taker.is_called:
        taker.is_called = False
        taker.until_ns = now_ns + taker.idle_ns
        taker.nap_ns = _FIRST_NAP_NS
    if found == _SHORTAGE:
        _nap(taker, work, now_ns + _SHORTAGE_NS)
    if found != _NOTHING:
        return True
    if now_ns < taker.until_ns:
        _nap(taker, work, min(taker.until_ns, now_ns + taker.nap_ns))
        taker.nap_ns = min(2 * taker.nap_ns, _LONGEST_NAP_NS)
    else:
        _sleep(taker, work)
        taker.until_ns = monotonic_ns() + taker.idle_ns
        taker.nap_ns = _FIRST_NAP_NS
    return True


@noraise
def _round(task: Task, taker: Taker, work: TaskWork) -> int:
    """Go on with requests that are due, and take what the rings have."""
    taker.processor = this_processor().number
    found = _NOTHING if work.due.first is None else _PROGRESS
    work.run()
    work.is_at_work = True
    idle_ns = 0
    for _ in range(taker.count):
        served = taker.next_ring()
        if served is None:
            break
        idle_ns = max(idle_ns, served.idle_ns)
        most = served.ring.shape.entry_count if taker.count == 1 else _FAIR_SHARE
        found = max(found, _take(task, taker, served, most))
        pace(_COST)
    taker.idle_ns = idle_ns
    return found


@noraise
def _take(task: Task, taker: Taker, served: ServedRing, most: int) -> int:
    """Take up to `most` submissions of a ring, which stays open meanwhile, with the rights of its creator."""
    ring = served.ring
    count = min(ring.offered(), most)
    if count == 0 or ring.is_disabled:
        return _NOTHING
    charge_running()
    began_ns = task.accounts.runtime_ns
    file = served.file.acquire()
    own = act_as(task, served.credentials)
    found = _NOTHING
    try:
        if submit(ring, task, count) > 0:
            found = _PROGRESS
    except Errno as error:
        if error.code == EAGAIN:
            found = _SHORTAGE
    except MemoryError:
        found = _SHORTAGE
    act_as_itself(task, own)
    taker.room.wake_all()
    file.release()
    charge_running()
    taker.working_ns += task.accounts.runtime_ns - began_ns
    return found


@noraise
def _sleep(taker: Taker, work: TaskWork) -> None:
    """Sleep until somebody calls, or a request is due."""
    taker.tell_asleep()
    _nap(taker, work, monotonic_ns() + _LONGEST_NAP_NS)
    if not taker.has_submissions():
        _nap(taker, work, FOREVER_NS)
    taker.tell_awake()


@noraise
def _nap(taker: Taker, work: TaskWork, until_ns: int) -> None:
    """Sleep until somebody calls, a request is due, a signal comes, or the time is up."""
    if taker.is_called or work.due.first is not None:
        return
    work.sleeper = current_thread()
    try:
        taker.waiters.sleep_until(until_ns)
    except Errno:
        work.sleeper = None
        return
    except MemoryError:
        taker.waiters.pause(_SHORTAGE_NS)
    work.sleeper = None

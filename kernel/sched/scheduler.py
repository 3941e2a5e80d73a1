"""The scheduler: switches the thread that a processor runs.

`schedule` in steps: charge the running thread for its time; take the next thread off the run queue; if there is none,
wait for an interrupt on the present stack (a thread woken while it idles goes on without a switch); switch
address space, kernel stack and processor state; on the other side, free the remains of a dead thread.

With several processors, one that finds no thread waits on the stack of its idle thread instead, because another may run
the thread that slept. Which processor runs what: balance.py.

Context: `schedule` sleeps; `wake`, `tick` and `request_reschedule` are called from interrupts too.
Source: sched(7).
"""

from typing import Final, NoReturn

from arch import note_watched, set_kernel_stack, take_kernel_ticks
from arch.programs import leave_spaces, load_root
from kernel.lang import Errno, export, final, inline, noinline, noraise, on_stack, panic, sleeps
from kernel.lib import log
from kernel.lib.linked import NEXT
from kernel.lib.pace import pace
from kernel.sched import deadline, realtime
from kernel.sched.balance import (
    TICK_NS,
    announce_again,
    idle_round,
    look_after_others,
    move_away,
    queue_of,
    ready_everywhere,
    share_at_tick,
    start_somewhere,
    take_of_all,
    wake_somewhere,
)
from kernel.sched.deadline import DeadlineServer
from kernel.sched.observer import SWITCHES
from kernel.sched.pressure import MACHINE
from kernel.sched.processor import (
    LOAD_PERIOD_NS,
    PROCESSORS,
    RUNNING,
    Processor,
    add_processor,
    interrupt,
    processor_of,
    running_on,
    this_processor,
)
from kernel.sched.runqueue import begin_to_count, count_no_more, divide_slice, has_had_turn, pauses, slice_of
from kernel.sched.stacks import allocate_stack, free_stack
from kernel.sched.strain import note_idling, note_sleep, note_switch, note_wake
from kernel.sched.switch import first_stack_pointer, let_others_in, switch, wait_on_stack, wake_stack
from kernel.sched.thread import (
    AWAKE,
    SCHED_DEADLINE,
    SCHED_FIFO,
    SCHED_OTHER,
    SCHED_RR,
    WALK,
    Thread,
    ThreadState,
    count_time,
    enter_list,
    first_thread,
    leave_list,
)
from kernel.time.clock import NS_PER_US, monotonic_ns, ticks_to_ns
from kernel.time.timers import PROCESSOR_TIMERS, own_deadline_ns, run_timers
from kernel.time.vdso import follow_clock

# exp(-5 s / 1 min), 5 min, 15 min in units of 2**-11 (proc(5), /proc/loadavg)
_LOAD_DECAY: Final[list[int]] = [1884, 2014, 2037]
LOAD_ONE: Final = 2048
_LOAD_FORGOTTEN: Final = 1 << 10  # periods after which nothing is left of a load
# After an interrupt for timers none comes for this long, and for as many times as long as that one took: programs may
# arm timers that are due again at once, and others have four fifths of the time nevertheless.
_REST_NS: Final = 20_000
_REST_TIMES: Final = 4
_DIVIDE_COST: Final = 100  # instructions, for `pace`


def current_thread() -> Thread:
    """The running thread."""
    return RUNNING.current


def need_resched() -> bool:
    """Whether the running thread should yield at the next opportunity."""
    return RUNNING.need_resched


def request_reschedule() -> None:
    """Make the running thread yield at the next opportunity."""
    RUNNING.request_reschedule()


def has_work() -> bool:
    """Whether something may be due before the running thread goes on in user mode: the one question that every system
    call asks on its way out.
    """
    return RUNNING.has_work


def announce_work() -> None:
    """Something became due before a thread goes on in user mode. Harmless if it is not the running one, which then
    checks and finds nothing; `enter_processor` of the right one repeats the request.
    """
    RUNNING.has_work = True


def work_is_done() -> None:
    """The running thread found nothing more to do."""
    RUNNING.has_work = False


def watches_calls() -> bool:
    """Whether the running thread's system calls are watched: the one question that each asks on its way in."""
    return RUNNING.watches_calls


def watch_calls(is_wanted: bool) -> None:
    """Set whether the running thread's system calls are watched. Each thread's `enter_processor` does."""
    RUNNING.watches_calls = is_wanted
    if RUNNING.several:
        note_watched(this_processor().number, is_wanted)


# Becoming ready ------------------------------------------------------------------------------------------------------


def wake(thread: Thread) -> None:
    """Make a sleeping thread ready; does nothing to one that is ready, running, stopped or dead."""
    if thread.state == ThreadState.SLEEPING or thread.state == ThreadState.WAITING:
        make_ready(thread)


def make_ready(thread: Thread) -> None:
    """Put a thread that is not running on a run queue, whatever it was waiting for."""
    processor = this_processor()
    now_ns = monotonic_ns()
    if not processor.idle:
        _charge(processor, RUNNING.current, now_ns)  # the rests of the two slices are compared below
    thread.state = ThreadState.READY
    if thread.share is not None:
        begin_to_count(thread)
    if thread.wishes.policy == SCHED_DEADLINE and not deadline.wake_up(thread, now_ns):
        pass  # it waits for its next period
    elif RUNNING.several:
        wake_somewhere(processor, thread, now_ns)
    else:
        processor.queue.add_woken(thread)
        if processor.queue.outranks(thread, RUNNING.current):
            RUNNING.request_reschedule()
    if MACHINE.is_noted:
        note_wake(thread, now_ns)


def interrupt_sleep(thread: Thread) -> None:
    """A signal came: end an interruptible sleep."""
    if thread.state == ThreadState.SLEEPING:
        make_ready(thread)


def start_thread(thread: Thread, parent: Thread | None) -> None:
    """Start a new thread, on its stack, after the ready ones. A child gets half of the rest of
    its parent's slice.
    """
    thread.context.stack_pointer = first_stack_pointer(thread)
    thread.accounts.started_ns = monotonic_ns()
    if parent is not None:
        divide_slice(parent, thread)
    enter_list(thread)
    processor = this_processor()
    processor.forks += 1
    thread.state = ThreadState.READY
    if thread.share is not None:
        begin_to_count(thread)
    thread.turn.length_ns = slice_of(thread)
    thread.turn.slice_ns = min(thread.turn.slice_ns, thread.turn.length_ns)
    if RUNNING.several:
        start_somewhere(processor, thread)
    else:
        processor.queue.add_yielded(thread)
    if MACHINE.is_noted:
        note_wake(thread, thread.accounts.started_ns)


def allow_processors(thread: Thread, mask: int) -> None:
    """Set which processors may run a thread (-1: all). One that runs it and may not gives it up."""
    ready = _awaits_processor(thread)
    if ready:
        queue_of(thread).take_off(thread)
    thread.allowed = mask
    if ready:
        move_away(this_processor(), thread)
    elif not thread.may_run_on(thread.processor):
        _let_go_of(thread)


def _awaits_processor(thread: Thread) -> bool:
    """Whether a thread is on a queue, or was taken off to be put back: none that waits for its next period is."""
    return thread.state == ThreadState.READY and not deadline.is_throttled(thread)


def _let_go_of(thread: Thread) -> None:
    """If a processor runs the thread, make it check for a better one."""
    processor = processor_of(thread)
    if processor is this_processor():
        request_reschedule()
    elif processor is not None:
        interrupt(processor)


def _priority_changed(thread: Thread) -> None:
    """Put a thread back that was taken off the queue, or make the processor that runs it check for a better one."""
    if _awaits_processor(thread):
        queue_of(thread).add_preempted(thread)
        announce_again(this_processor(), thread)
    elif RUNNING.several or this_processor().queue.has_ready():
        _let_go_of(thread)


def start_processors(count: int) -> None:
    """From now on there are `count` processors: those that woke wait for the kernel lock. Raises MemoryError."""
    idle = IdleThread(b"swapper/0")
    idle.stack = allocate_stack()
    idle.context.stack_pointer = first_stack_pointer(idle)
    enter_list(idle)
    PROCESSORS[0].idle_thread = idle
    while len(PROCESSORS) < count:
        add_processor()


@export("krait_join")
@on_stack(16384)
def join() -> None:
    """A further processor enters the kernel. Does not return."""
    idle_for_ever()


@final
class IdleThread(Thread):
    """What the boot processor runs while it has nothing to do, if there are others; those have their boot threads."""

    def run(self) -> None:
        idle_for_ever()


def idle_for_ever() -> None:
    """The life of an idle thread: it gives the processor to ready threads."""
    while True:
        RUNNING.current.state = ThreadState.WAITING
        schedule()


def lend_priority(thread: Thread, priority: int, deadline_ns: int = 0) -> None:
    """Let a thread run with an urgency other than its own, and before a deadline (0: there is none); 0 ends that."""
    if _awaits_processor(thread):
        queue_of(thread).take_off(thread)
    thread.precedence.lent_priority = priority
    thread.precedence.lent_deadline_ns = deadline_ns
    if deadline_ns != 0:
        deadline.release(thread, monotonic_ns())
    thread.order_by(deadline.own_deadline_ns(thread))
    _priority_changed(thread)


def use_deadlines(thread: Thread, server: DeadlineServer) -> None:
    """Let a thread have deadlines from now on, by a server that was admitted."""
    charge_running()
    if thread.state == ThreadState.READY:
        queue_of(thread).take_off(thread)
    deadline.begin(thread, server, monotonic_ns())
    _priority_changed(thread)


def change_priority(thread: Thread, policy: int, realtime_priority: int, nice: int) -> None:
    """Set how a thread is scheduled; the caller has checked the values. SCHED_DEADLINE stays as it is."""
    if _awaits_processor(thread):
        queue_of(thread).take_off(thread)
    if thread.wishes.policy == SCHED_DEADLINE and policy != SCHED_DEADLINE:
        charge_running()
        deadline.end(thread, monotonic_ns())
    thread.wishes.policy = policy
    thread.wishes.realtime_priority = realtime_priority
    thread.wishes.nice = nice
    if thread.charges.load > 0:
        count_no_more(thread)
        begin_to_count(thread)
    thread.turn.length_ns = slice_of(thread)
    if policy != SCHED_DEADLINE:
        thread.turn.slice_ns = min(thread.turn.slice_ns, thread.turn.length_ns)
    _priority_changed(thread)


def ask_for_turns(thread: Thread, wanted_ns: int) -> None:
    """Let a thread run that long at a time, once it is among the fair classes; 0: until its slice is over."""
    charge_running()
    thread.precedence.wanted_ns = wanted_ns
    thread.precedence.turn_ns = thread.accounts.runtime_ns


# Giving up the processor ----------------------------------------------------------------------------------------------


def _charge(processor: Processor, thread: Thread, now_ns: int) -> None:
    """Charge the time since the last charge to the thread that the processor runs."""
    elapsed = now_ns - processor.charged_at_ns
    processor.charged_at_ns = now_ns
    if elapsed <= 0:
        return
    count_time(thread, elapsed)
    if thread.share is not None:
        _use_share(thread, elapsed, now_ns)
    if thread.wishes.policy == SCHED_OTHER:
        thread.turn.slice_ns -= elapsed
    else:
        _charge_by_policy(processor, thread, elapsed)


@noinline
def _charge_by_policy(processor: Processor, thread: Thread, elapsed_ns: int) -> None:
    """Charge time to a thread whose policy is not SCHED_OTHER."""
    if thread.wishes.policy == SCHED_DEADLINE:
        deadline.charge(thread, elapsed_ns)
        return
    if thread.wishes.policy != SCHED_FIFO:
        thread.turn.slice_ns -= elapsed_ns
    if thread.has_realtime_policy():
        processor.realtime_ns += elapsed_ns


@noinline
def _use_share(thread: Thread, elapsed_ns: int, now_ns: int) -> None:
    """Charge time to a thread's group, and make the thread check before it goes on if the group has none left."""
    share = thread.share
    if share is not None and thread.has_fair_policy() and share.use(elapsed_ns, now_ns):
        if thread is RUNNING.current:
            RUNNING.has_work = True


def divide_time(thread: Thread) -> None:
    """Divide a thread's charged time into time in user mode and in the kernel, which the doors have counted. The time
    of one that another processor runs stays as it was at its last tick.
    """
    if thread is RUNNING.current and thread.stack is not None and not this_processor().idle:
        thread.context.kernel_ticks += take_kernel_ticks()
    elif thread.state == ThreadState.RUNNING:
        return
    processor = PROCESSORS[thread.processor]
    ran_ns = thread.accounts.runtime_ns - thread.accounts.divided_ns
    system_ns = min(ran_ns, ticks_to_ns(thread.context.kernel_ticks))
    thread.context.kernel_ticks = 0
    user_ns = ran_ns - system_ns
    thread.accounts.divided_ns = thread.accounts.runtime_ns
    thread.accounts.system_ns += system_ns
    thread.accounts.user_ns += user_ns
    shared = thread.shared_time
    if shared is not None:
        shared.user_ns += user_ns
    processor.system_ns += system_ns
    if thread.wishes.nice > 0:
        processor.nice_ns += user_ns
    else:
        processor.user_ns += user_ns


def divide_all() -> None:
    """Bring the processors' times in user mode and in the kernel up to date. Sleeps, if there are many threads."""
    charge_running()
    WALK.next = first_thread()
    while True:
        thread = WALK.next
        if thread is None:
            return
        WALK.next = thread.all_links[NEXT]
        divide_time(thread)
        pace(_DIVIDE_COST)


@sleeps
def schedule() -> None:
    """Run another thread, until this one is ready again. Its state says why it leaves; RUNNING means that it was
    preempted.
    """
    processor = this_processor()
    previous = RUNNING.current
    now_ns = monotonic_ns()
    _charge(processor, previous, now_ns)
    RUNNING.need_resched = False
    if previous.wishes.policy == SCHED_DEADLINE:
        deadline.stop(previous, now_ns)
    if previous.state != ThreadState.RUNNING and previous.state != ThreadState.READY:
        previous.accounts.voluntary_switches += 1
        if previous.share is not None:
            count_no_more(previous)
        if MACHINE.is_noted:
            note_sleep(previous, now_ns)
    following = _next_thread(processor, previous)
    following.state = ThreadState.RUNNING
    if MACHINE.is_noted:
        note_switch(previous, following, processor.charged_at_ns)
    if RUNNING.several:
        look_after_others(processor, previous, now_ns)
    if RUNNING.is_observed:
        SWITCHES.observer.arrives(previous, following)
    if following is previous:
        return
    processor.switches += 1
    previous.leave_processor()
    if following.context.links != AWAKE:
        wake_stack(following)
    RUNNING.current = following
    stack = following.stack
    if stack is not None:
        set_kernel_stack(stack.top)
    if following.space_root != 0:
        load_root(following.space_root)
    if previous.state == ThreadState.DEAD:
        processor.departed = previous
    switch(previous, following)
    finish_switch()


@inline
def _take(processor: Processor, previous: Thread) -> Thread | None:
    return take_of_all(processor, previous) if RUNNING.several else processor.queue.take()


def _next_thread(processor: Processor, previous: Thread) -> Thread:
    """The thread to run; waits for an interrupt as long as there is none."""
    if previous.state == ThreadState.RUNNING:
        if previous.may_run_on(processor.number):
            return _next_of_running(processor, previous)
        previous.state = ThreadState.READY
        move_away(processor, previous)
    following = _take(processor, previous)
    while following is None:
        idle = processor.idle_thread
        if idle is not None and idle is not previous:
            return idle
        following = _report_idling(processor, previous) if RUNNING.is_observed else None
        if following is not None:
            break
        previous.context.kernel_ticks += take_kernel_ticks()
        processor.idle = True
        idle_round(processor.queue)
        if MACHINE.is_noted:
            note_idling(previous, processor.charged_at_ns)
        leave_spaces()
        wait_on_stack(previous)
        processor.idle = False
        now_ns = monotonic_ns()
        run_timers(now_ns)
        processor.idle_ns += max(0, now_ns - processor.charged_at_ns)
        processor.charged_at_ns = now_ns
        take_kernel_ticks()  # charged to no thread
        RUNNING.need_resched = False
        following = _take(processor, previous)
        if following is not None and processor.timer.set_to_ns - now_ns > TICK_NS:
            _tick_again(processor, now_ns)
    return following


@noinline
def _next_of_running(processor: Processor, previous: Thread) -> Thread:
    """The same, if the running thread could go on."""
    if has_had_turn(previous) or previous.is_realtime():
        return _next_or_itself(processor, previous)
    following = _take(processor, previous)
    if following is None:
        return previous
    if following.is_realtime() and pauses(processor.queue, following):
        processor.queue.add_preempted(following)
        return previous
    previous.accounts.involuntary_switches += 1
    previous.state = ThreadState.READY
    processor.queue.add_preempted(previous)
    return following


def _next_or_itself(processor: Processor, previous: Thread) -> Thread:
    """The same, if the running thread is one of those that wait: its slice is over, or it is a real-time thread,
    which goes on unless another goes before it.
    """
    if has_had_turn(previous) and (previous.wishes.policy == SCHED_RR or not previous.is_realtime()):
        previous.precedence.turn_ns = previous.accounts.runtime_ns
        processor.queue.add_yielded(previous)
    else:
        processor.queue.add_preempted(previous)
    following = _take(processor, previous)
    if following is None or following is previous:
        return previous
    previous.accounts.involuntary_switches += 1
    previous.state = ThreadState.READY
    return following


@noinline
def _report_idling(processor: Processor, thread: Thread) -> Thread | None:
    """Report to observers that no thread is ready; then one may be ready: one that waited for a record of that."""
    SWITCHES.observer.idles(thread)
    return _take(processor, thread)


def finish_switch() -> None:
    """First step on the new thread's stack: restore its processor state, and free the stack of one that died."""
    processor = this_processor()
    RUNNING.current.enter_processor()
    departed = processor.departed
    if departed is not None:
        processor.departed = None
        release_stack(departed)


def release_stack(thread: Thread) -> None:
    """Free the stack of a thread that never runs again."""
    stack = thread.stack
    if stack is not None:
        divide_time(thread)
        thread.stack = None
        thread.waiter = None  # these two refer back to the thread
        thread.timer = None
        leave_list(thread)
        free_stack(stack)


@sleeps
def yield_now() -> None:
    """Let the others run (sched_yield(2))."""
    processor = this_processor()
    thread = RUNNING.current
    if not thread.may_run_on(processor.number):
        schedule()
        return
    if not processor.queue.has_ready():
        RUNNING.need_resched = False
        return
    _charge(processor, thread, monotonic_ns())
    thread.precedence.turn_ns = thread.accounts.runtime_ns
    thread.state = ThreadState.READY
    processor.queue.add_yielded(thread)
    schedule()


@sleeps
def give_budget_away() -> None:
    """Let the others run until the running thread, which has deadlines, has its next period (sched_yield(2))."""
    processor = this_processor()
    thread = RUNNING.current
    _charge(processor, thread, monotonic_ns())
    if deadline.give_away(thread, processor.charged_at_ns):
        thread.state = ThreadState.READY
    schedule()


@sleeps
def preempt() -> None:
    """Yield if another thread should run: where the kernel returns to user mode."""
    if RUNNING.need_resched:
        schedule()


@sleeps
def safe_point() -> None:
    """For long loops: lets interrupts in, and others run when it is their turn. Nothing may be half done."""
    let_others_in(RUNNING.current)
    if RUNNING.need_resched:
        schedule()


@sleeps
def exit_thread() -> NoReturn:
    """End the running thread. The next thread to run frees its stack."""
    thread = RUNNING.current
    if thread.wishes.policy == SCHED_DEADLINE:
        deadline.end(thread, monotonic_ns())
    thread.state = ThreadState.DEAD
    schedule()
    panic("a dead thread runs")


# The tick ------------------------------------------------------------------------------------------------------------
# A processor that runs threads ticks; an idle one only waits for the first deadline.


def begin_ticking() -> None:
    """From now on the boot processor's timer may interrupt. Raises MemoryError."""
    timer = PROCESSORS[0].timer
    PROCESSOR_TIMERS.all.append(timer)
    PROCESSOR_TIMERS.own = timer
    timer.set(monotonic_ns() + TICK_NS)


@noinline
def _tick_again(processor: Processor, now_ns: int) -> None:
    """A processor that idled for long is about to run a thread."""
    processor.timer.set(now_ns + TICK_NS)
    _keep_up(now_ns)


def _keep_up(now_ns: int) -> None:
    """Upkeep that goes on while all processors are idle."""
    follow_clock()
    keeper = PROCESSORS[0]
    if now_ns >= keeper.load_due_ns:
        _update_load(keeper, now_ns)


@noraise
def tick() -> None:
    """The timer interrupt: run timers, count what the processor does, end slices."""
    processor = this_processor()
    processor.timer_interrupts += 1
    now_ns = monotonic_ns()
    run_timers(now_ns)
    _keep_up(now_ns)
    done_ns = monotonic_ns()
    next_ns = max(own_deadline_ns(), done_ns + _REST_NS + (done_ns - now_ns) * _REST_TIMES)
    if processor.idle:
        processor.timer.set(next_ns)
        return
    processor.timer.set(min(next_ns, done_ns + TICK_NS))
    if _tick_thread(processor, now_ns):
        RUNNING.request_reschedule()
    if RUNNING.several:
        share_at_tick(processor)
    if processor.realtime_ns != 0:
        _share_time(processor, now_ns)


def _tick_thread(processor: Processor, now_ns: int) -> bool:
    """The tick for what a processor runs. Returns whether its turn is over."""
    thread = running_on(processor)
    _charge(processor, thread, now_ns)
    divide_time(thread)
    thread.ticked()
    return has_had_turn(thread) and thread.wishes.policy != SCHED_FIFO


def _share_time(processor: Processor, now_ns: int) -> None:
    """Let real-time threads run for their share of each period, and then others, so that a real-time thread which never
    sleeps can be stopped.
    """
    queue = processor.queue
    if now_ns - processor.realtime_since_ns >= realtime.PERIOD.value * NS_PER_US:
        processor.realtime_since_ns = now_ns
        processor.realtime_ns = 0
        if queue.pauses_realtime:
            queue.pauses_realtime = False
            request_reschedule()
        return
    share_us = realtime.RUNTIME.value
    if share_us == realtime.UNLIMITED or queue.pauses_realtime or not queue.has_fair():
        return
    if processor.realtime_ns >= share_us * NS_PER_US:
        queue.pauses_realtime = True
        request_reschedule()


def _update_load(processor: Processor, now_ns: int) -> None:
    """Move the load averages on by the periods that have passed: in all but the last, nothing ran."""
    for _ in range(min((now_ns - processor.load_due_ns) // LOAD_PERIOD_NS, _LOAD_FORGOTTEN)):
        _move_load(processor, 0)
    processor.load_due_ns = now_ns + LOAD_PERIOD_NS
    running = ready_everywhere()
    for each in PROCESSORS:
        running += 0 if each.idle else 1
    _move_load(processor, running)


def _move_load(processor: Processor, running: int) -> None:
    """Count one period, in which this many threads ran or were ready."""
    for i in range(3):
        decay = _LOAD_DECAY[i]
        processor.load[i] = (processor.load[i] * decay + running * LOAD_ONE * (LOAD_ONE - decay)) // LOAD_ONE


def charge_running() -> None:
    """Bring the running threads' `runtime_ns` up to date."""
    now_ns = monotonic_ns()
    for processor in PROCESSORS:
        if not processor.idle:
            _charge(processor, running_on(processor), now_ns)


@export("krait_kthread_main")
@on_stack(16384)
def thread_main(argument: int) -> None:
    """Where every new thread starts, on its own stack. Does not return."""
    finish_switch()
    thread = RUNNING.current
    try:
        thread.run()
    except Errno:
        log.error("a kernel thread ended with an error")
    except MemoryError:
        log.error("a kernel thread ended for want of memory")
    exit_thread()

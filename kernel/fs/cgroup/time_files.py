"""The files of the controller "cpu", and cpu.stat, which every group has."""

from typing import Final

from kernel.cgroup.group import CPU, ControlGroup, GroupWalk
from kernel.fs.cgroup.table import CORE, READABLE_MODE, FileRow, Writer, parse_number, parse_unsigned, words_of
from kernel.lang import EINVAL, ENODEV, ERANGE, Errno
from kernel.lib.pace import pace
from kernel.sched.bandwidth import DEFAULT_WEIGHT, NO_QUOTA, TimeShare
from kernel.sched.processor import PROCESSORS
from kernel.sched.scheduler import charge_running, divide_all, divide_time
from kernel.task.group_walks import ThreadWalk
from kernel.time.clock import NS_PER_US

_MOST_WEIGHT: Final = 10_000
_IDLE_WEIGHT: Final = 1  # as it is shown
_LEAST_US: Final = 1000  # for a quota and a period
_LONGEST_PERIOD_US: Final = 1_000_000
_MOST_US: Final = 1 << 44
_THREAD_COST: Final = 200  # instructions, for `pace`
# The weights of nice -20 … 19 (Linux's sched_prio_to_weight), where 1024 is nice 0.
_NICE_WEIGHTS: Final[list[int]] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121, 2501,
    1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
]  # fmt: skip
_NICE_ZERO: Final = 1024
_LOWEST_NICE: Final = -20


def share_of(group: ControlGroup) -> TimeShare:
    """The controller of a group that has it. Raises ENODEV."""
    share = group.share
    if share is None:
        raise Errno(ENODEV)
    return share


def weight(group: ControlGroup) -> bytes:
    """cpu.weight."""
    share = share_of(group)
    return f"{_IDLE_WEIGHT if share.is_idle else share.weight}\n".encode()


def set_weight(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """The group's share relative to its siblings, 1 to 10,000."""
    value = parse_unsigned(text)
    share = share_of(group)
    if not 1 <= value <= _MOST_WEIGHT:
        raise Errno(ERANGE)
    if share.is_idle:
        raise Errno(EINVAL)
    share.set_weight(value, is_idle=False)


def _nearest_nice(share: TimeShare) -> int:
    wanted = (share.weight * _NICE_ZERO + DEFAULT_WEIGHT // 2) // DEFAULT_WEIGHT
    best = 0
    for place in range(len(_NICE_WEIGHTS)):
        if abs(_NICE_WEIGHTS[place] - wanted) <= abs(_NICE_WEIGHTS[best] - wanted):
            best = place
    return best + _LOWEST_NICE


def weight_nice(group: ControlGroup) -> bytes:
    """cpu.weight.nice."""
    return f"{_nearest_nice(share_of(group))}\n".encode()


def set_weight_nice(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """The weight, as the nice value of a thread with the same share."""
    value = parse_number(text)
    share = share_of(group)
    if not _LOWEST_NICE <= value < _LOWEST_NICE + len(_NICE_WEIGHTS):
        raise Errno(ERANGE)
    if share.is_idle:
        raise Errno(EINVAL)
    found = (_NICE_WEIGHTS[value - _LOWEST_NICE] * DEFAULT_WEIGHT + _NICE_ZERO // 2) // _NICE_ZERO
    share.set_weight(min(max(found, 1), _MOST_WEIGHT), is_idle=False)


def idle(group: ControlGroup) -> bytes:
    """cpu.idle."""
    return b"1\n" if share_of(group).is_idle else b"0\n"


def set_idle(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """1: the group gets little more than what its siblings leave."""
    value = parse_number(text)
    share = share_of(group)
    if value != 0 and value != 1:
        raise Errno(EINVAL)
    share.set_weight(DEFAULT_WEIGHT if (value == 1) != share.is_idle else share.weight, is_idle=value == 1)


def quota(group: ControlGroup) -> bytes:
    """cpu.max."""
    share = share_of(group)
    most = b"max" if share.quota_ns == NO_QUOTA else f"{share.quota_ns // NS_PER_US}".encode()
    return most + f" {share.period_ns // NS_PER_US}\n".encode()


def set_quota(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """The quota and the period, in microseconds."""
    words = words_of(text)
    share = share_of(group)
    if len(words) == 0:
        raise Errno(EINVAL)
    period_us = share.period_ns // NS_PER_US
    if len(words) > 1 and ord("0") <= words[1][0] <= ord("9"):
        period_us = _leading_number(words[1])
    if not _LEAST_US <= period_us <= _LONGEST_PERIOD_US:
        raise Errno(EINVAL)
    quota_ns = NO_QUOTA
    if words[0] != b"max":
        quota_us = _leading_number(words[0])
        if not _LEAST_US <= quota_us <= _MOST_US:
            raise Errno(EINVAL)
        quota_ns = quota_us * NS_PER_US
        if share.burst_ns > quota_ns:
            raise Errno(EINVAL)
    share.set_limit(quota_ns, period_us * NS_PER_US)


def _leading_number(text: bytes) -> int:
    """The decimal number that a text begins with. Raises EINVAL."""
    value = 0
    if not ord("0") <= text[0] <= ord("9"):
        raise Errno(EINVAL)
    for byte in text:
        if not ord("0") <= byte <= ord("9"):
            break
        if value > _MOST_US:
            raise Errno(EINVAL)
        value = value * 10 + byte - ord("0")
    return value


def burst(group: ControlGroup) -> bytes:
    """cpu.max.burst."""
    return f"{share_of(group).burst_ns // NS_PER_US}\n".encode()


def set_burst(group: ControlGroup, text: bytes, writer: Writer) -> None:
    """How much unused quota the group may use later."""
    value = parse_unsigned(text)
    share = share_of(group)
    if not 0 <= value <= _MOST_US or (share.quota_ns != NO_QUOTA and value * NS_PER_US > share.quota_ns):
        raise Errno(EINVAL)
    share.burst_ns = value * NS_PER_US


def statistics(group: ControlGroup) -> bytes:
    """cpu.stat: microseconds, of the group and those below."""
    user_ns = 0
    system_ns = 0
    if group.parent is None:
        divide_all()
        for processor in PROCESSORS:
            user_ns += processor.user_ns + processor.nice_ns
            system_ns += processor.system_ns
    else:
        charge_running()
        walk = GroupWalk(group)
        while True:
            each = walk.next()
            if each is None:
                break
            user_ns += each.user_ns
            system_ns += each.system_ns
            threads = ThreadWalk(each)
            while (task := threads.next()) is not None:
                divide_time(task)
                user_ns += task.accounts.user_ns - task.membership.earlier_user_ns
                system_ns += task.accounts.system_ns - task.membership.earlier_system_ns
                pace(_THREAD_COST)
    user_us = user_ns // NS_PER_US
    system_us = system_ns // NS_PER_US
    text = f"usage_usec {user_us + system_us}\nuser_usec {user_us}\nsystem_usec {system_us}\n"
    share = group.share
    if share is not None:
        text += f"nr_periods {share.periods}\nnr_throttled {share.throttled_periods}\n"
        text += f"throttled_usec {share.throttled_ns // NS_PER_US}\nnr_bursts {share.bursts}\n"
        text += f"burst_usec {share.burst_used_ns // NS_PER_US}\n"
    return text.encode()


TIME_FILES: Final[list[FileRow]] = [
    FileRow(b"cpu.stat", CORE, statistics, mode=READABLE_MODE, on_top=True),
    FileRow(b"cpu.weight", CPU, weight, set_weight),
    FileRow(b"cpu.weight.nice", CPU, weight_nice, set_weight_nice),
    FileRow(b"cpu.idle", CPU, idle, set_idle),
    FileRow(b"cpu.max", CPU, quota, set_quota),
    FileRow(b"cpu.max.burst", CPU, burst, set_burst),
]

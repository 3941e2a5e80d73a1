"""/proc/census: how many processes each user has, as the reader's namespaces show both."""

from kernel.lib.credentials import uid_for_caller
from kernel.lib.pace import pace
from kernel.lib.proc_files import proc_file
from kernel.task.pids import next_process
from kernel.task.task import current

_PROCESS_COST = 100  # instructions, about


@proc_file("census")
def census() -> bytes:
    """A line for each user that has processes, by number: the user, and how many."""
    counts: dict[int, int] = {}
    pids = current().process.pids  # the reader's numbers
    process = next_process(pids, 0)
    while process is not None:
        thread = process.any_thread()
        if thread is not None:  # else it is a zombie
            uid = uid_for_caller(thread.credentials.uid)  # the reader's number, too
            counts[uid] = counts.get(uid, 0) + 1
        number = pids.shown(process.pid) + 1
        pace(_PROCESS_COST)  # there may be thousands: let interrupts in, which may end processes
        process = next_process(pids, number)
    lines: list[bytes] = []
    for uid in sorted(list(counts)):
        lines.append(f"{uid} {counts[uid]}\n".encode())
    return b"".join(lines)

"""acct(2)."""

from kernel.doors.table import syscall
from kernel.lang import EPERM, Errno, UserAddr
from kernel.lib.capabilities import CAP_SYS_PACCT
from kernel.syscalls.path_arguments import path_at
from kernel.task.process_accounting import begin_account, end_account, open_account
from kernel.task.task import current


@syscall("acct", status="Full", args="path")
def acct(name: UserAddr) -> int:
    """acct(2)."""
    task = current()
    if not task.credentials.capable(CAP_SYS_PACCT):
        raise Errno(EPERM)
    if name == 0:
        end_account(task.pids)
        return 0
    account = open_account(task, path_at(name))
    try:
        begin_account(task.pids, account)
    except MemoryError:
        account.close()
        raise
    return 0

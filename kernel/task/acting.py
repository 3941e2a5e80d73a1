"""Acting with other credentials for a while: a request of io_uring with a personality (io_uring_register(2)), or of a
ring whose submissions a thread takes.

`Task.credentials` are those by which the task acts. Others judge it by its real ones, which do not change meanwhile:
whether they may signal, trace, schedule or look at it. So a task that acts for a user is not in the hands of that user.
"""

from kernel.lang import noraise
from kernel.lib.credentials import Credentials
from kernel.task.task import Task


@noraise
def act_as(task: Task, personality: Credentials) -> Credentials:
    """The running task acts with other credentials until `act_as_itself`, which gets the result. It has asynchronous
    work, so it has belongings. It may act for somebody already: then it does so again afterwards.
    """
    own = task.credentials
    belongings = task.belongings
    if belongings is not None:
        if belongings.real_credentials is None:
            belongings.real_credentials = own
        task.credentials = personality
    return own


@noraise
def act_as_itself(task: Task, own: Credentials) -> None:
    """It acts again as before."""
    belongings = task.belongings
    if belongings is not None:
        if belongings.real_credentials is own:
            belongings.real_credentials = None
        task.credentials = own


def real_credentials(task: Task) -> Credentials:
    """By which others judge a task."""
    belongings = task.belongings
    real = None if belongings is None else belongings.real_credentials
    return task.credentials if real is None else real

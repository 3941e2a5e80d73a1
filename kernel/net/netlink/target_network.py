"""The network that a message of rtnetlink means: that of a process, of a file of /proc/PID/ns, or one by its id.

Context: system calls; nothing sleeps.
Source: rtnetlink(7), ip-link(8) (netns), ip-netns(8).
"""

from typing import Final

from kernel.fs.namespace import NamespaceFile
from kernel.lang import EINVAL, EPERM, ESRCH, Errno, span_of
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import CLONE_NEWNET, Namespace
from kernel.net.link.network import LIMBO, Network, as_network
from kernel.task import current
from kernel.task.namespaces import namespace_of
from kernel.task.pids import find_task

_MISSING: Final = -1


def network_of_process(number: int) -> Network:
    """The network of a thread, which has this number for the caller. Raises ESRCH."""
    caller = current()
    task = find_task(caller.pids.resolve(number))
    namespace = None if task is None else namespace_of(task, CLONE_NEWNET)
    if namespace is None:
        raise Errno(ESRCH)
    return as_network(namespace)


def network_of_descriptor(number: int) -> Network:
    """The network of an open namespace file. Raises EBADF, EINVAL for another file."""
    file = current().files.get(number)
    if not isinstance(file, NamespaceFile):
        raise Errno(EINVAL)
    namespace: Namespace = file.namespace
    if not isinstance(namespace, Network):
        raise Errno(EINVAL)
    return namespace


def require_administrator(network: Network, opener: Credentials | None) -> None:
    """Only a holder of CAP_NET_ADMIN over a network may put something there, and the opener of the socket must hold
    it too: the caller may not know where it writes. Raises EPERM.
    """
    if not current().credentials.capable_in(network.owner, CAP_NET_ADMIN):
        raise Errno(EPERM)
    if opener is not None and not opener.capable_in(network.owner, CAP_NET_ADMIN):
        raise Errno(EPERM)


def named_network(default: Network, process: bytes, descriptor: bytes, opener: Credentials | None) -> Network:
    """The network named by attributes, both empty if absent, whose administrators the caller and the
    socket's opener are (`Request.opener`). Raises ESRCH, EBADF, EINVAL, EPERM.
    """
    if len(process) == 0 and len(descriptor) == 0:
        return default
    if len(process) >= 4:
        found = network_of_process(span_of(process).load_u32(0))
    elif len(descriptor) >= 4:
        number = span_of(descriptor).load_u32(0)
        found = network_of_descriptor(number if number < 1 << 31 else _MISSING)
    else:
        raise Errno(EINVAL)
    if found is LIMBO:
        raise Errno(EINVAL)
    require_administrator(found, opener)
    return found

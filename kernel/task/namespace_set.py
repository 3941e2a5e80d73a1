"""The namespaces of a thread, except those of its memory, files and user (namespaces(7)).

Nearly all threads are in the same ones, so they share one set. A set in use never changes: a thread that
enters another namespace gets a new set (`copy`), and no one sees half of a change. The first set is complete before
any thread has it: see FIRST_SET.

The pid namespace of a thread is that of its process, the mount namespace that of its file context, the user namespace
that of its credentials.
"""

from typing import Final

from kernel.cgroup.namespace import FIRST_GROUPS, GroupNamespace
from kernel.ipc.namespace import FIRST_IPC, IpcNamespace
from kernel.lang import atomic, final
from kernel.lib.namespace import CLONE_NEWNET, NETWORKS, Namespace
from kernel.task.host import HOST, Host
from kernel.task.pid_namespace import FIRST_PID, PidNamespace
from kernel.time.namespace import FIRST_TIME, TimeNamespace


@final
@atomic("uts", "time")
class NamespaceSet:
    """The set, as described above. A new one has the first namespace of each kind."""

    def __init__(self) -> None:
        self.uts: Host = HOST
        self.time: TimeNamespace = FIRST_TIME
        self.time_for_children: TimeNamespace = FIRST_TIME  # and for itself, from the next program on
        self.pids_for_children: PidNamespace = FIRST_PID  # unshare(2) and setns(2) change it
        self.ipc: IpcNamespace = FIRST_IPC
        self.network: Namespace = NETWORKS.first  # the network's modules refine its type (kernel/net/link/network.py)
        self.groups: GroupNamespace = FIRST_GROUPS

    def copy(self) -> "NamespaceSet":
        """A copy that its creator may still change. Raises MemoryError."""
        fresh = NamespaceSet()
        fresh.uts = self.uts
        fresh.time = self.time
        fresh.time_for_children = self.time_for_children
        fresh.pids_for_children = self.pids_for_children
        fresh.ipc = self.ipc
        fresh.network = self.network
        fresh.groups = self.groups
        return fresh

    def put(self, namespace: Namespace) -> None:
        """Replace a namespace in the set, which is not in use yet. Does nothing for kinds that are not in sets."""
        if isinstance(namespace, Host):
            self.uts = namespace
        elif isinstance(namespace, GroupNamespace):
            self.groups = namespace
        elif isinstance(namespace, IpcNamespace):
            self.ipc = namespace
        elif isinstance(namespace, PidNamespace):
            self.pids_for_children = namespace
        elif isinstance(namespace, TimeNamespace):
            self.time = namespace
            self.time_for_children = namespace
        elif namespace.kind == CLONE_NEWNET:
            self.network = namespace

    def has_time(self, namespace: TimeNamespace) -> bool:
        """Whether threads with the set are in a time namespace, and their children."""
        return self.time is namespace and self.time_for_children is namespace


FIRST_SET: Final = NamespaceSet()
"""The set of the first process. `make_process` enters the first network, which the network creates after this; it is
always the same one.
"""

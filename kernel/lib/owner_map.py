"""Maps of owners: who a file of an id-mapped mount seems to belong to (mount_setattr(2), "ID-mapped mounts").

A file system keeps one owner of each file. Through such a mount, another one is seen: the number of the kept owner, in
the file system's user namespace, counts as a number in the user namespace that the mount was given. In the other
direction, whoever acts through the mount is somebody else to the file system. An owner without a number there is seen
as nobody, so that no program owns the file; a caller without one cannot create files.

Pure.
"""

from kernel.lang import final
from kernel.lib.ids import NO_GROUP, NO_ID, NO_USER, IdMap, KernelGid, KernelUid
from kernel.lib.namespace import UserNamespace


@final
class OwnerMap:
    """The owners of a mount's files. Immutable, like the maps that it was built from."""

    def __init__(self, namespace: UserNamespace, keeper: UserNamespace) -> None:
        self._users: IdMap = namespace.uids
        self._groups: IdMap = namespace.gids
        self._keeper: UserNamespace = keeper  # the file system's

    def seen_uid(self, kept: KernelUid) -> KernelUid:
        """The user that a kept owner is seen as; NO_USER if there is none."""
        number = self._keeper.uid_or_none(kept)
        return NO_USER if number == NO_ID else KernelUid(self._users.to_kernel(number))

    def seen_gid(self, kept: KernelGid) -> KernelGid:
        """The same for a group; NO_GROUP if there is none."""
        number = self._keeper.gid_or_none(kept)
        return NO_GROUP if number == NO_ID else KernelGid(self._groups.to_kernel(number))

    def kept_uid(self, seen: KernelUid) -> KernelUid:
        """What the file system keeps for a user; NO_USER if there is nothing."""
        number = self._users.from_kernel(int(seen))
        return NO_USER if number == NO_ID else self._keeper.kernel_uid(number)

    def kept_gid(self, seen: KernelGid) -> KernelGid:
        """The same for a group; NO_GROUP if there is nothing."""
        number = self._groups.from_kernel(int(seen))
        return NO_GROUP if number == NO_ID else self._keeper.kernel_gid(number)

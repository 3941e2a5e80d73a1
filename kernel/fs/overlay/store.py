"""Extended attributes of an overlay: the layer's, as the mounter sees them, without those that the overlay keeps
itself.

So capabilities of files apply to the mounter's user namespace, however they came into the layer.

Context: sleeps.
"""

from kernel.fs import extended_attributes
from kernel.fs.access_control import is_list, set_list
from kernel.fs.access_list import from_attribute
from kernel.fs.attribute_store import Store
from kernel.fs.overlay.copy_up import copy_up
from kernel.fs.overlay.instance import OverlayNode, dropped_bits
from kernel.fs.path import Path
from kernel.lang import EACCES, ENODATA, EOVERFLOW, EPERM, EROFS, Errno, final, with_room
from kernel.sched.room import make_room


@final
class OverlayStore(Store):
    """For one use."""

    def __init__(self, node: OverlayNode) -> None:
        super().__init__()
        self.node: OverlayNode = node

    def load(self) -> None:
        make_room()
        _load(self)

    def put(self, name: bytes, value: bytes, old: bytes | None) -> None:
        make_room()
        _put(self.node, name, value)

    def drop(self, name: bytes) -> None:
        make_room()
        _drop(self.node, name)


@with_room(24576)
def _load(store: OverlayStore) -> None:
    node = store.node
    mounter = node.overlay.mounter
    path = node.real_path()
    inode = path.inode()
    store.values.clear()
    if not inode.may_have_attributes():
        return
    actor = path.mount.actor(mounter)
    for name in extended_attributes.names(mounter, inode).split(b"\0"):
        if len(name) == 0 or node.overlay.is_private(name):
            continue
        try:
            store.values[node.overlay.name_above(name)] = extended_attributes.get(actor, inode, name)
        except Errno as error:
            if error.code not in (ENODATA, EOVERFLOW, EACCES, EPERM):
                raise


def _changed(node: OverlayNode) -> Path:
    """The inode whose attribute to change, after copying up. Raises EROFS, and what copying up raises."""
    copy_up(node)
    path = node.upper
    if path is None:
        raise Errno(EROFS)
    path.mount.require_writable()
    return path


@with_room(24576)
def _put(node: OverlayNode, name: bytes, value: bytes) -> None:
    path = _changed(node)
    actor = path.mount.actor(node.overlay.mounter)
    if is_list(name):
        set_list(actor, path.inode(), name, from_attribute(value))
    else:
        extended_attributes.put(actor, path.inode(), node.overlay.name_below(name), value, 0)
    node.take_over()


@with_room(24576)
def _drop(node: OverlayNode, name: bytes) -> None:
    gone = dropped_bits(node)
    path = _changed(node)
    actor = path.mount.actor(node.overlay.mounter)
    extended_attributes.remove(actor, path.inode(), node.overlay.name_below(name))
    node.take_over()
    node.mode &= ~gone

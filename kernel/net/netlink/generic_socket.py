"""NETLINK_GENERIC: families with names instead of numbers (Documentation/userspace-api/netlink).

There is one family, the controller, which programs ask for the numbers of others: they get ENOENT, as on a Linux
without those drivers.

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, ENOENT, EOPNOTSUPP, Errno, span_of
from kernel.lib.credentials import Credentials
from kernel.net.link.network import Network
from kernel.net.netlink.messages import HEADER_SIZE, NLM_F_DUMP, MessageWriter, Request
from kernel.net.netlink.request_socket import RequestSocket
from kernel.net.netlink.socket import NETLINK_GENERIC

_HEADER: Final = 4  # struct genlmsghdr: command, version, two bytes that are not used
_CONTROLLER: Final = 16
_CONTROLLER_NAME: Final = b"nlctrl\0"
_CONTROLLER_VERSION: Final = 2
_NEW_FAMILY: Final = 1
_GET_FAMILY: Final = 3
_CAN_DO_DUMP: Final = 0xE  # GENL_CMD_CAP_DO, GENL_CMD_CAP_DUMP, GENL_CMD_CAP_HASPOL

_FAMILY_ID: Final = 1
_FAMILY_NAME: Final = 2
_VERSION: Final = 3
_HEADER_SIZE: Final = 4
_MOST_ATTRIBUTES: Final = 5
_OPERATIONS: Final = 6
_GROUPS: Final = 7
_FIRST: Final = 1  # of the list
_OPERATION_ID: Final = 1
_OPERATION_FLAGS: Final = 2
_GROUP_NAME: Final = 1
_GROUP_ID: Final = 2


class GenericSocket(RequestSocket):
    """A socket of NETLINK_GENERIC."""

    def __init__(self, kind: int, credentials: Credentials, network: Network) -> None:
        super().__init__(kind, NETLINK_GENERIC, credentials, network)

    def wants_dump(self, request: Request) -> bool:
        return request.flags & NLM_F_DUMP == NLM_F_DUMP

    def dump(self, request: Request, writer: MessageWriter) -> int:
        _check(request)
        _put_controller(writer)
        return 0

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        _check(request)
        request.payload(_HEADER)
        number = request.attribute(_FAMILY_ID)
        name = request.attribute(_FAMILY_NAME)
        if len(number) < 2 and len(name) == 0:
            raise Errno(EINVAL)
        if len(name) != 0:
            is_found = name == _CONTROLLER_NAME
        else:
            is_found = span_of(number).load_u16(0) == _CONTROLLER
        if not is_found:
            raise Errno(ENOENT)
        _put_controller(writer)


def _check(request: Request) -> None:
    """Raises ENOENT for an unknown family, EINVAL for a message that is too short, EOPNOTSUPP for a command that
    the controller does not have.
    """
    if request.kind != _CONTROLLER:
        raise Errno(ENOENT)
    if len(request.raw) < HEADER_SIZE + _HEADER:
        raise Errno(EINVAL)
    if request.raw[HEADER_SIZE] != _GET_FAMILY:
        raise Errno(EOPNOTSUPP)


def _put_controller(writer: MessageWriter) -> None:
    """Write the description of the controller."""
    writer.begin(_CONTROLLER)
    writer.u8(_NEW_FAMILY)
    writer.u8(_CONTROLLER_VERSION)
    writer.u16(0)
    writer.attribute(_FAMILY_NAME, _CONTROLLER_NAME)
    writer.attribute(_FAMILY_ID, bytes([_CONTROLLER, 0]))
    writer.attribute_u32(_VERSION, _CONTROLLER_VERSION)
    writer.attribute_u32(_HEADER_SIZE, 0)
    writer.attribute_u32(_MOST_ATTRIBUTES, 0)  # each command has its own
    operations = writer.begin_attribute(_OPERATIONS)
    operation = writer.begin_attribute(_FIRST)
    writer.attribute_u32(_OPERATION_ID, _GET_FAMILY)
    writer.attribute_u32(_OPERATION_FLAGS, _CAN_DO_DUMP)
    writer.end_attribute(operation)
    writer.end_attribute(operations)
    groups = writer.begin_attribute(_GROUPS)
    group = writer.begin_attribute(_FIRST)
    writer.attribute_u32(_GROUP_ID, _CONTROLLER)
    writer.attribute(_GROUP_NAME, b"notify\0")
    writer.end_attribute(group)
    writer.end_attribute(groups)
    writer.end()

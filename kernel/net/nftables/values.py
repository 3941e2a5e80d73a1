"""Constants in rules and sets: bytes, or a verdict (struct NFTA_DATA_ATTRIBUTES of linux/netfilter/nf_tables.h).

Context: batches; nothing sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, ENOENT, EOPNOTSUPP, EOVERFLOW, Errno, final
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.attributes import Attributes, put32, put_text
from kernel.net.nftables.expression import BREAK, CONTINUE, GOTO, JUMP, RETURN
from kernel.net.nftables.model import ACCEPT, DROP, NAME_LIMIT, Chain

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading

DATA_LIMIT: Final = 64  # bytes in sets
RULE_LIMIT: Final = 16  # in rules
_VALUE: Final = 1
_VERDICT: Final = 2
_CODE: Final = 1
_CHAIN: Final = 2
_CHAIN_ID: Final = 3


@final
class Decision:
    """A verdict in a rule: what happens to the packet, or which chain continues."""

    def __init__(self, code: int, chain: Chain | None) -> None:
        self.code: int = code
        self.chain: Chain | None = chain

    def equals(self, other: "Decision") -> bool:
        """Whether both mean the same."""
        return self.code == other.code and self.chain is other.chain

    def take(self) -> None:
        """Count a reference to the chain."""
        chain = self.chain
        if chain is not None:
            chain.uses += 1

    def release(self) -> None:
        """Drop the reference."""
        chain = self.chain
        if chain is not None:
            chain.uses -= 1


@final
class Value:
    """A constant: bytes, or a decision."""

    def __init__(self, data: bytes, decision: Decision | None) -> None:
        self.data: bytes = data
        self.decision: Decision | None = decision


def is_value(attributes: Attributes) -> bool:
    """Whether the attributes of a constant are bytes."""
    return attributes.has(_VALUE)


def load_value(attributes: Attributes, kind: int, loading: "Loading", limit: int = RULE_LIMIT) -> Value:
    """Read the constant in an attribute. Raises EINVAL, EOVERFLOW for more than `limit` bytes, ENOENT, EOPNOTSUPP."""
    inner = attributes.nested(kind)
    attributes.blame(kind)
    if inner.has(_VALUE):
        data = inner.payload(_VALUE)
        if len(data) == 0:
            raise Errno(EINVAL)
        if len(data) > limit:
            raise Errno(EOVERFLOW)
        return Value(data, None)
    if inner.has(_VERDICT):
        return Value(b"", _load_decision(inner.nested(_VERDICT), loading))
    raise Errno(EINVAL)


def load_bytes(attributes: Attributes, kind: int, loading: "Loading", limit: int = RULE_LIMIT) -> bytes:
    """The same, which must be bytes. Raises EINVAL."""
    value = load_value(attributes, kind, loading, limit)
    if value.decision is not None:
        raise Errno(EINVAL)
    return value.data


def _load_decision(attributes: Attributes, loading: "Loading") -> Decision:
    if not attributes.has(_CODE):
        raise Errno(EINVAL)
    code = attributes.be32(_CODE)
    if code >> 31 != 0:
        code -= 1 << 32
    if code == JUMP or code == GOTO:
        return Decision(code, _target(attributes, loading))
    if code == CONTINUE or code == BREAK or code == RETURN:
        return Decision(code, None)
    if code != DROP and code != ACCEPT:
        raise Errno(EINVAL)
    return Decision(code, None)


def _target(attributes: Attributes, loading: "Loading") -> Chain:
    if attributes.has(_CHAIN):
        chain = loading.table.chains.find(attributes.text(_CHAIN, NAME_LIMIT), loading.generation)
        attributes.blame(_CHAIN)
    elif attributes.has(_CHAIN_ID):
        chain = loading.chain_by_number(attributes.be32(_CHAIN_ID))
        attributes.blame(_CHAIN_ID)
    else:
        raise Errno(EINVAL)
    if chain is None:
        raise Errno(ENOENT)
    if chain.base is not None:
        raise Errno(EOPNOTSUPP)
    return chain


def put_decision(writer: MessageWriter, kind: int, decision: Decision) -> None:
    """Write a verdict as a constant."""
    outer = writer.begin_attribute(kind)
    inner = writer.begin_attribute(_VERDICT)
    put32(writer, _CODE, decision.code)
    chain = decision.chain
    if chain is not None:
        put_text(writer, _CHAIN, chain.name)
    writer.end_attribute(inner)
    writer.end_attribute(outer)


def put_bytes(writer: MessageWriter, kind: int, data: bytes) -> None:
    """Write bytes as a constant."""
    outer = writer.begin_attribute(kind)
    writer.attribute(_VALUE, data)
    writer.end_attribute(outer)

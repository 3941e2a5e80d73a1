"""Keys that are constructed for whoever asked for them: KEYCTL_INSTANTIATE, KEYCTL_INSTANTIATE_IOV, KEYCTL_REJECT and
KEYCTL_ASSUME_AUTHORITY of keyctl(2).
"""

from kernel.fs.constants import MAX_RW_COUNT
from kernel.keys.key import WRITE, Key
from kernel.keys.keychain import OF_AUTHORITY, OF_REQUESTOR, Authority, find_authority
from kernel.keys.requesting import instantiate, reject
from kernel.lang import EFAULT, EINVAL, ENOKEY, EPERM, Errno, UserAddr
from kernel.lib import user
from kernel.syscalls.buffer_arguments import user_vector
from kernel.syscalls.key_arguments import LONGEST_PAYLOAD, chain_of, finder_of, found_key
from kernel.task.task import current
from kernel.task.words import signed_32


def instantiate_key(operation: int, number: int, payload: UserAddr, count: int, ring: int) -> None:
    """KEYCTL_INSTANTIATE has the payload in one piece, KEYCTL_INSTANTIATE_IOV in several."""
    if operation == 12:
        if payload != 0 and count != 0:
            user.check(payload, min(count, MAX_RW_COUNT) if count > 0 else MAX_RW_COUNT)
        size = count if payload != 0 else 0
        if not 0 <= size <= LONGEST_PAYLOAD:
            raise Errno(EINVAL)
        authority = _authority_over(number)
        data = user.read_bytes(payload, size) if size > 0 else b""
    else:
        pieces = user_vector(payload, count if payload != 0 else 0)
        if pieces.remaining > LONGEST_PAYLOAD:
            raise Errno(EINVAL)
        authority = _authority_over(number)
        size = pieces.remaining
        data = pieces.take_bytes(size)
        if len(data) < size:
            raise Errno(EFAULT)
    task = current()
    authority.acquire()
    try:
        instantiate(authority, data, _target_of(authority, signed_32(ring)), finder_of(task))
        chain_of(task).assume(None)
    finally:
        authority.release()


def reject_key(number: int, timeout_s: int, error: int, ring: int) -> None:
    authority = _authority_over(number)
    authority.acquire()
    try:
        reject(authority, timeout_s, error, _target_of(authority, signed_32(ring)))
        chain_of(current()).assume(None)
    finally:
        authority.release()


def _authority_over(number: int) -> Authority:
    """The authority that the caller has assumed, which is over that key. Raises EPERM."""
    authority = chain_of(current()).authority
    if authority is None or authority.target is None or authority.target.serial != signed_32(number):
        raise Errno(EPERM)
    return authority


def _target_of(authority: Authority, ring: int) -> Key | None:
    """The keyring that a constructed key is linked to, if any."""
    if ring == 0:
        return None
    if ring > 0:
        return found_key(ring, WRITE, creates=True).key
    if ring == OF_AUTHORITY:
        raise Errno(EINVAL)
    if ring < OF_REQUESTOR:
        raise Errno(ENOKEY)
    return authority.destination


def assume(number: int) -> int:
    """KEYCTL_ASSUME_AUTHORITY. Returns the number of the authority."""
    if number < 0:
        raise Errno(EINVAL)
    task = current()
    chain = chain_of(task)
    if number == 0:
        chain.assume(None)
        return 0
    authority = find_authority(chain, task.credentials, number)
    chain.assume(authority)
    return authority.serial

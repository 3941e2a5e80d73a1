"""Connection tracking and address translation (NAT): which connection a packet belongs to, and what its addresses
become. Firewalls are built on it.

The code here handles packets at the points of `kernel.net.link.hooks`. In a network where no one asked for tracking,
nothing is registered and no packet is looked at.

For those who build firewalls, all in `kernel.net.filter`:

`tracking.use_tracking(network, family)`, `unuse_tracking`
    Counted. From the first to the last, packets of that family belong to connections. MemoryError.
`access.connection_of(packet) -> Connection | None`
    None: the packet is INVALID or UNTRACKED (see `access.state_bits`). To leave it untracked, a hook sets
    `packet.tracking = UNTRACKED` before PRIORITY_CONNECTIONS.
`access.state_bits(packet) -> int`
    STATE_INVALID 1, STATE_ESTABLISHED 2, STATE_RELATED 4, STATE_NEW 8, STATE_UNTRACKED 64: as `ct state` of nft(8).
`access.is_reply_packet(packet) -> bool`
    The direction of the packet, `ct direction`.
`access.tuple_of(connection, is_reply=…) -> Tuple`
    source, destination, protocol, source_port, destination_port; of ICMP the ports are the identifier, and type and
    code.
`connection.status`, `connection.mark`, `access.set_mark(connection, mark)`
    STATUS_* of `connection.py`; the mark is a u32.
`access.expires_in_ms(connection, now_ns) -> int`
    `ct expiration`. `access.identifier(connection) -> int`: `ct id`.
`connection.packets`, `reply_packets`, `bytes`, `reply_bytes`
    Zero unless net.netfilter.nf_conntrack_acct is on. There are no helpers (`ct helper` is empty).
`nat_chains.add_nat_chain(network, family, point, chain)`, `remove_nat_chain`
    Enters a chain of type nat. `chain` is a `Hook`; its `look` is called for the first packet of a connection alone,
    by rising priority, until one calls a function below. Counts as a user of tracking. MemoryError.
`translation.set_up_nat(packet, place, request) -> Verdict`
    `request` is a `NatRequest`: `to_source` (snat, in POSTROUTING and INPUT) or not (dnat, in PREROUTING and OUTPUT),
    addresses from `first` to `last`, ports from `first_port` to `last_port`, flags NAT_*. Does nothing for a
    connection that has already been set up: ACCEPT.
`translation.masquerade(packet, place, request)`, `translation.redirect(packet, place, request)`
    The same with the address of the output device, or to this host; of `request` only ports and flags count.

A chain of type nat returns the verdict that these return; packets are translated after the chains have run.

Context: thread context; nothing sleeps. All of these may raise MemoryError: the packet is dropped.
"""

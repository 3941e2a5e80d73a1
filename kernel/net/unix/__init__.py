"""Unix sockets: stream, datagram and sequenced packets between processes of this machine (unix(7))."""

"""TCP (RFC 9293): the state machine, its timers and congestion control, and sockets on top of it.

`connection.py` holds a connection's state; the modules beside it are the events that change it: `input.py` for
segments, `output.py` for sending, `timers.py` for time. They are pure: the time is passed in, segments leave through a
`Wire`. `stack.py` finds the connection that a packet belongs to, `socket.py` is what programs see.
"""

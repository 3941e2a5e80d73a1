"""Packets by script: a guest's network stack is sent packets, right and wrong, and must answer as Linux does.

`session.py` has the machine and what a scenario sees of it, `flow.py` the peer of a TCP connection, `text.py` the
normal form of packets, `scenarios.py` the list of scenarios and the records. The other modules are scenarios.
"""

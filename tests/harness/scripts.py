"""Shell functions that scripts of several tests begin with."""

# `listens PORT [NETWORK]` waits until somebody listens at a port, in a network of ip-netns(8) or in this one.
LISTENS = """\
listens() { until ${2:+ip netns exec $2} grep -q ":$(printf %04X $1) 0*:0000 0A " /proc/net/tcp*; do sleep 0.05; done; }
"""

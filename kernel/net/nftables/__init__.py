"""nf_tables: tables of rules that decide about packets (nft(8)), managed by messages of netlink.

It is above netlink, because rules are read from its messages and written to them; packets reach it through the hooks
of the link layer.
"""

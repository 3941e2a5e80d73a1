"""nf_tables: tables of rules that decide about packets (nft(8)), by messages of netlink.

It lies above netlink, because rules are read from its messages and shown in them; packets come to it through the hooks
of the link layer.
"""

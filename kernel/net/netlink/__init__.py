"""Netlink: how programs ask for interfaces, addresses, routes and neighbours, and change them (netlink(7),
rtnetlink(7)).
"""

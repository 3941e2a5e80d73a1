"""Hostile packets: a seeded fuzzer on the wire of a guest, while other connections of the guest go on."""

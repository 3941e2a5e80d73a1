"""Tests of whole images: boot paths, machines, and sessions typed at the terminal."""

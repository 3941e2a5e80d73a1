"""Small models of what several processors do to the same words, and every order in which they can do it.

`explorer.py` runs a model through all interleavings. The other modules are the models, each with the mistakes that it
must find. See docs/processors.md.
"""

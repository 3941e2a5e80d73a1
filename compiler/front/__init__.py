"""The front end: mypy's typed tree to ours (see adaptor.py)."""

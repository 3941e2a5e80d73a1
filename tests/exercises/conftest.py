"""The exercises' tests need a project around them: test_solutions.py runs each in one of its own."""

collect_ignore_glob = ["*/test_*.py"]

"""Tests of the language prelude and the run-time library."""

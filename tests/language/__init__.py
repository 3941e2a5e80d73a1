"""Tests of the language: every feature runs plainly, checked and compiled."""

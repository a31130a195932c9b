"""Fuzzing: every parser meets arbitrary bytes; `python -m fuzz` from tests/ is the driver."""

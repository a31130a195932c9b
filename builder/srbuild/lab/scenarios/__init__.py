"""The lab's scenarios: each file has a tuple `SCENARIOS`; adding a file adds its scenarios."""

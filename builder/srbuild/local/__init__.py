"""Host-specific files of a shared root, planned: pure functions over what `Look` shows of it."""

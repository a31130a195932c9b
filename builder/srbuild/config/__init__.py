"""What was asked: options, environment, recipe and cluster file, merged into one `Config`."""

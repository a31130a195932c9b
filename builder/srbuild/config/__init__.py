"""Options, environment, recipe and cluster file, merged into one Config."""

"""What a site brings along from Open Shared Root (OSR): its configuration, in srbuild's terms."""

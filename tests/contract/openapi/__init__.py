"""What the description promises, asked of a running service."""

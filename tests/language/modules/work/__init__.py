"""What the guide's flows call."""

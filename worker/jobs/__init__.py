"""One folder per job; nothing of another."""

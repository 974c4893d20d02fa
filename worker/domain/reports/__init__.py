"""A report, from conversations to files: pure, and in memory that does not grow with them."""

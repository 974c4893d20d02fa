"""The composition root: settings in, a running worker out. Objects are built here only."""

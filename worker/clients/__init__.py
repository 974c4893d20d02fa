"""Everything that leaves the process, one module per upstream."""

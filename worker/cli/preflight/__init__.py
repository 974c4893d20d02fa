"""What `worker check` looks at: nothing here receives, sends, writes, starts or deletes."""

"""From the bytes of a message body to typed events: pure, no I/O."""

"""`worker dlq`: what is on the dead-letter queues and why; redrive it, or delete it."""

"""An SQS server for tests and the demo: leases, redrive, FIFO, faults and a journal."""

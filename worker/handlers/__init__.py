"""One module per job. Handlers know no SQS, and not each other."""

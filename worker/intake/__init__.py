"""From SQS to settled: receive, open, handle, settle. Knows no Genesys."""

"""The Genesys Cloud Platform API, in two dialects."""

"""One module per AWS service, named after what it is for."""

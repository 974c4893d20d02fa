"""One module per job of the worker: the traffic it gets, and how its effects are proven."""

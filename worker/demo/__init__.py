"""The scenario of `worker demo`: the worker on emulators, invalid traffic and faults, proof."""

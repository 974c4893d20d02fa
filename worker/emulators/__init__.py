"""Emulators of everything the worker talks to, used by `worker demo` and by the tests alike."""

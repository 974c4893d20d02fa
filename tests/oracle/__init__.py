"""The reader of events as it was on pydantic and orjson: the oracle for the one on msgspec.

Kept as it was at commit e69afcb, but for its imports. `read` is what tests call.
"""

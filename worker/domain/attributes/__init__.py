"""Attributes for a conversation: what the flow asks for, what the customer's record offers."""

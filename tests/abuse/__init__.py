"""Abuses at the real ports, beside two clients that behave."""

"""Unmodified official client packages on the real stages, with real speech."""

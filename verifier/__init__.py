"""Checks the frames of all sessions; stateless, so that any number of them share the work."""

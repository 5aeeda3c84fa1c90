"""Contracts and shells that every stage shares; imports no stage."""

"""Corrupt frames that a server kept: their files, and what they tell."""

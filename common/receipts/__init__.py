"""Receipts: signed statements on what a server heard; installed with the client, to check them."""

"""Turns verified audio into text: one recorder per session over engines that all share."""

"""Benchmarks: ``python -m tests.bench`` prints tables and writes ``results/*.json``."""

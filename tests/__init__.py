"""Tests: `unit` (no sockets), `integration`, `faults`, `clients`, `browser`, `bench`."""

"""Tests: `unit` (no stages), `integration`, `faults`, `clients`, `stock`, `browser`, `bench`."""

"""The Python client: streams audio, hears results, survives lost connections."""

from common.client.stream import Stream, connect

__all__ = ["Stream", "connect"]

"""Client protocols: each a translator between its own messages and a session's frames and results.

A translator knows no socket and no clock: it is handed what the client sent, or what the session
heard, and returns what to do. RealtimeSTT's own is one of them. Adding a protocol is one module
here and one line in the table of ``gateway/api_port.py``.
"""

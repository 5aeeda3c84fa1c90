"""Client protocols: each a translator between its own messages and a session's frames and results.

A translator knows no socket and no clock: it is handed what the client sent, or what the session
heard, and returns what to do. RealtimeSTT's own is one of them. Adding one that speaks WebSocket or
HTTP is one module here and one line in the table of ``gateway/api_port.py``; any other needs a port
of its own, too, as Wyoming has in ``gateway/wyoming_port.py``.
"""

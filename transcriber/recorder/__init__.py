"""RealtimeSTT's recorder, one a session: in audio time, over shared engines."""

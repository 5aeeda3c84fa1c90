"""The stage that clients connect to: sessions, retention, rejection, delivery."""

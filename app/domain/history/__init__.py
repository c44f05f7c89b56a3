"""The training history: sessions, their exercises and sets."""

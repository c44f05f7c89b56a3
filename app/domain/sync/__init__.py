"""What has changed, for clients that keep a copy."""

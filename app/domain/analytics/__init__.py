"""What runs add up to."""

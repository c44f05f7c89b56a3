"""The exercise catalogue: what can be trained."""

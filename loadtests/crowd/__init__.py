"""The people of the load test: who they are, what they do, and what they may expect."""

"""Readers of the formats in which activities are kept: each makes activities of bytes, or says why it can't."""

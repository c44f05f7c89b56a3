"""Who is asking and what they may do: keys, tokens, passwords, sessions. It knows no domain."""

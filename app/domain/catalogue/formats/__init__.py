"""Files of public exercise lists, and what of them can be used here."""

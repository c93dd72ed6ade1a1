"""Background loops, one per file; what they call is handed to them."""

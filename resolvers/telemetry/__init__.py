"""What nodes say: taking it in, storing it, letting it go, and answering questions about it."""

"""Benchmarks: made-up results, a load client, and what is measured with them."""

"""Probes: a test stream is pushed, what comes out is played, measured and judged, again and again."""

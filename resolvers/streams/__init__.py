"""Who watches what: viewers, how many streams they may watch at the same time, and those that they do."""

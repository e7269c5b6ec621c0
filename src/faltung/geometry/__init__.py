"""The arithmetic of windows: integers only, no data, no floating point."""

"""Against the API server of a real cluster; skipped where there is none."""

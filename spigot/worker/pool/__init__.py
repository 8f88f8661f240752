"""Many jobs at once: the parent claims and keeps leases, its child runs the functions."""

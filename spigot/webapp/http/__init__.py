"""What all routes share: problems, bodies, ids, the admin, page security."""

"""What runs where: leases, their renewal and recovery, the result log."""

"""What every process needs, and no job: settings, errors, logging, connections, processes."""

"""rq-dashboard, with what it lacks and what it does wrong put right."""

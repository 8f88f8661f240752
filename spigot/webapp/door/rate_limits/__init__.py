"""Rate limits: who may come in how often, decided for all rules of a request in one script."""

"""The metrics of the door and of the tap, for Prometheus."""

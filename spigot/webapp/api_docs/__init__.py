"""The API's documentation: ``description`` stands beside each route, the rest gathers it."""

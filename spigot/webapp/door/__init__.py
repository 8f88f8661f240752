"""The door: who is asking, and how often they may."""

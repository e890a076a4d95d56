"""Owns the recurring jobs: when one is due it is enqueued, and its completion awaited."""

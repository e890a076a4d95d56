"""Rota in one process."""

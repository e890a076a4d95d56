"""`python -m rota.single` runs a small installation in one process."""

from rota.single.cli import app

if __name__ == "__main__":
    app()

"""`python -m rota.worker` is the `worker` command."""

from rota.worker.cli import app

if __name__ == "__main__":
    app()

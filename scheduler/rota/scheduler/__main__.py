"""`python -m rota.scheduler` is the `sched` command."""

from rota.scheduler.cli import app

if __name__ == "__main__":
    app()

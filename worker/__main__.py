"""`python -m worker` and the `worker` command."""

from worker.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m planetvision` is the `planetvision` command."""

from planetvision.cli import main

if __name__ == "__main__":
    main()

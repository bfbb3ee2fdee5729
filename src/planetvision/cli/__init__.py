"""The `planetvision` command."""

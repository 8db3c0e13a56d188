"""`python -m fathom`."""

from fathom.cli.main import script

if __name__ == "__main__":
    script()

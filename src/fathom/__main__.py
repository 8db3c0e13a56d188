"""`python -m fathom`."""

from fathom.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())

"""`python -P -m wardian`, the same as `agent`."""

from wardian.cli.main import main

if __name__ == "__main__":
    main()

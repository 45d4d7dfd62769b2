"""The suites that come with the package: their tasks are made on demand, from a seed."""

"""What stands beside a built tool in its box; each file is put there as it is.

These run on the box's own Python, without this package.
"""

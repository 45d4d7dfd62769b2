"""What runs inside the box: the supervisor, the Python worker, and the file operations.

Standard library only and Python 3.9 syntax, because the box has the system's interpreter and not
the one Wardian runs on. Nothing here imports anything else of Wardian.
"""

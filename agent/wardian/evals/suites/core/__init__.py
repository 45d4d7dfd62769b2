"""The suite `core`: tasks of several steps, as people give them to an agent in a folder."""

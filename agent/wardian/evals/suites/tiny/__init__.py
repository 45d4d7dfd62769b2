"""The kinds of tasks that the built-in model is trained on, and tested with from other seeds."""

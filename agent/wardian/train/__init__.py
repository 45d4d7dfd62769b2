"""Training. Nothing here is imported unless a training command is given."""

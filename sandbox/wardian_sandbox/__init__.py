"""Where calls run: boxes that confine model-written code."""

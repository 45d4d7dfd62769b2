"""Stored runs to look at: one page that needs no network, texts found in them, a table of steps.

Covers: what models, tools and files wrote stands in a page as text, whatever it says; hidden
characters are written out; the page may load nothing, and runs no script but its own.
Does not cover: secrets. Give it a trajectory that is fit to be read (`cli/reading.py`).
"""

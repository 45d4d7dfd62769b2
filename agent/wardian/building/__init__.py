"""Tools an agent builds: typed functions with tests, kept once a person has approved their code.

Such code never runs outside a sandbox: what a tool is called, takes and may do is read off its
source text, and its tests and every call run in a fresh box that grants what it declares.
"""

"""Evals: how well a model does tasks with a check, over several attempts each.

`tasks` is what a task is, `loading` finds the tasks of a suite, `evaluate`
attempts and grades them.
"""

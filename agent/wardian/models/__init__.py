"""Models: what answers. One protocol (`wardian.types.Model`), each implementation its own module.

Nothing heavy is imported here; import the module of the model you want.
"""

"""May this call run, and under what confinement?"""

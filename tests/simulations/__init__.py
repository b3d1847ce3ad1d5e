"""Simulated studies: whether verdicts, intervals and advice keep what they promise. Run it as `python -m tests.simulations`.

Everything is judged by the functions that judge real studies.
"""

"""Components that break the contract of their kind, a module for each kind.

`CAUGHT` of a module says for each factory which test has to fail for it, and with which words; `TRIED` has the attributes of the
test class where it needs any.
"""

"""The rivals, each written as a competent user would write it today without this library, and ours beside them.

Every module has `build(stack, count, own)`: add `count` exports to the stack, sharing one bucket and role, or with
their own each. What all of them need alike is in `shared`. Being generous to the rivals, the log groups of their own
functions are left to Lambda, which keeps logs for ever; ours makes one with a retention.
"""

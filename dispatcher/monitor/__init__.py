"""The monitor: sees and steers the whole pool from a terminal. Stands behind step 10 of a request's way.

`state`, `update`, `view` and what they lean on are pure: what happened goes in, what is shown comes out. `link` talks
to the coordinator on a thread of its own, `app` is the loop between that, the keyboard and the screen.
"""

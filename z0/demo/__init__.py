"""
What `make demo` runs: a real hour of LLM requests through both doors, and proof at the end that nothing was lost or doubled.

Owns: the story (setup, two imports at once, checks, report). Does not own: anything that a user could not do: tenants and
keys come from the functions behind `z0 tenant` and `z0 key`, entities and money go over HTTP, the rows through `z0 import`.

Every run has an id of its own that is part of all its entities' ids, so a second demo on kept data adds tenants and
accounts of its own. `--run ID` repeats a run instead: everything is then answered as repeated, and every check holds again.
"""

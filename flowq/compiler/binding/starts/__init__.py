"""What starts the runs of a flow by itself, and the messages about them: `schedule`, `triggers` and `notify`.

`values` has what entries and triggers give to params. All of it is checked when the flow is compiled; an entry with a problem is left out.
"""

"""One module per command, imported when it is called; each has a click command named `command`.

A command reads its options, makes one call and shows what came back. What two commands share lives one level up.
"""

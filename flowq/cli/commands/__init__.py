"""Commands: one module per command, imported when the command is called; each has a click command named `command`.

A command reads its options, makes one call and shows the answer. Code that several commands share is one level up.
"""

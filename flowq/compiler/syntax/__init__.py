"""The text of a flow file, parsed: a tree of nodes that know their place, in the shape that the schema describes."""

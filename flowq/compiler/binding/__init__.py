"""Binding: the tree of nodes becomes typed records (`spec`), with templates, defaults and stages resolved."""

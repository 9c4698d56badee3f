"""Pictures of a flow's graph: for a terminal, a browser, Graphviz, Mermaid and programs.

`model` makes the graph to draw (of a plan, with a run's states if there is one), `layout` decides the positions, and one module per
form writes it. The package does not know the store, the command line or terminal colours. All of
it is pure: the same graph always gives the same text.

Everything that came from a flow file is escaped for the form it is written in; a job's name cannot become markup.
"""

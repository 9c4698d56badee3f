"""Pictures of a flow's graph: for a terminal, a browser, Graphviz, Mermaid and programs.

What it owns: `model` makes the graph to draw (of a plan, with a run's states if there is one), `layout` decides where everything
stands, and one module per form writes it. What it must not know: the store, the command line, how a terminal is coloured. All of
it is pure: the same graph always gives the same text.

Everything that came from a flow file is escaped for the form it is written in; a job's name cannot become markup.
"""

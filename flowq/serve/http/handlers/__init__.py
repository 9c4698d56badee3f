"""What routes do: one module per noun, each with its rows of the table. A handler reads its call, calls one function of flowq, and returns a document."""

"""The catalog for users of the page: documents of its flows (`flow_documents`), runs that users start (`launch`), and what needs them (`attention`)."""

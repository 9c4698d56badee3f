"""Renderers: a run written in one format. Graphs, Gantt charts, JUnit reports, annotations of CI systems."""

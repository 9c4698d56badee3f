"""The version of RQ whose names flowq has."""

VERSION = "3.0.0"

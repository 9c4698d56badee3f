"""Installs the modules of RQ when it is imported. For fork servers, which import modules by name and can call nothing."""

from flowq.compat.installation import install_quietly

install_quietly()

"""Fork servers as the supervisor sees them: which one a job goes to, the requests to each, and limits of what their processes may have."""

"""Fork servers as the supervisor sees them: which one a job goes to, and the requests to each."""

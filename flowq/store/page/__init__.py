"""What only the page's server needs of the store: its users, many streams read at once, and what is counted."""

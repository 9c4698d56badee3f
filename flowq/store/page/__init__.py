"""What only the page's server needs of the store: its users, and many streams read at once."""

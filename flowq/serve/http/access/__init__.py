"""Who is at the other end: secrets and what they allow (`secrets`), looked up for each request (`doorkeeper`); attempts that failed (`attempts`)."""

"""What is stored: names of keys, records that reading returns, outcomes and replies of scripts."""

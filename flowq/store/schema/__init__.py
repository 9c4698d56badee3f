"""The stored data: names of keys, records that reading returns, outcomes and replies of scripts."""

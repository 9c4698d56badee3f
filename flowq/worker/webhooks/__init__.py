"""Delivery of webhooks: the worker takes those that are due, and a process of their own sends them."""

"""The fork server: the parent of the horses.

It forks, kills process groups, reaps, and sweeps up what dead horses leave behind. It knows nothing about jobs. This module imports nothing.
"""

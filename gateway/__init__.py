"""Puts the parts together: settings, the application, the command line."""

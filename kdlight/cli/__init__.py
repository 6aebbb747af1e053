"""The command line: how arguments and files become one configuration, and how it is run."""

"""Objects: whose they are, how their fields are read, how they are listed, found and deleted."""

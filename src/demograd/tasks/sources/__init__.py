"""Where examples come from: built-in tasks, files, folders, the hub, a package; each becomes a table."""

"""What is measured of networks and references: a file for each question."""

"""demograd."""

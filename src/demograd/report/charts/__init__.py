"""Charts as inline SVG: line charts and heat maps, all drawn in one style."""

"""Two networks beside one another on fixed images: what they tell about the label."""

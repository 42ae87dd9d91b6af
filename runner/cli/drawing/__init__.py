"""A definition as a picture: one tree of what is drawn, and a module for each form of it."""

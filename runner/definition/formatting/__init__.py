"""The canonical form of a definition's text. What each module does: nodes and comments read, writer writes."""

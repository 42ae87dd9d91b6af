"""The command line: reads arguments, composes the parts, renders what they answer. It decides nothing about runs."""

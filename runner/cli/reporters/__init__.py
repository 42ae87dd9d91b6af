"""The forms of `validate`'s findings that other programs read. One module a form; validate.py has the table."""

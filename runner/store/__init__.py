"""All of Redis. Kept empty: a name handed on here would chain worker processes to more than they need."""

"""The embedded server: a Valkey or Redis of the project's own, there while anybody uses it."""

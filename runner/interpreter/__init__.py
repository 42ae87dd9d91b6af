"""The functional core: no input or output, no clock, no random numbers. Import from its modules."""

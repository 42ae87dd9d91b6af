"""A store in this process's memory, for tests and `sagarun test`; twin of the scripts, held to the same promises."""

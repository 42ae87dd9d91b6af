"""What an editor is told of a definition: one module a question, and the server that passes questions on."""
